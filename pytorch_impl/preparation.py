"""Making a rewritten network ready for an engine: arithmetic, fast paths, dropout, attention.

The steps stand in the order in which they must run: which weights are frozen is known from the rewriting; what is cast
must be cast before products are redirected; dropouts are replaced last, when every module is in its place.
"""

from __future__ import annotations

from torch import nn

from common.backend import EngineSettings
from common.errors import InputError
from pytorch_impl import device as devices
from pytorch_impl.hf_bridge import surgery
from pytorch_impl.layers.modules import Conv1D, Embedding, Linear, hasten, one_dnn

__all__ = ["prepare"]


def prepare(model: nn.Module, settings: EngineSettings, device: str) -> None:
    """Apply ``settings`` to ``model`` in place.

    Args:
        device: on which it will compute, even if it is not there yet.

    Raises:
        InputError: the network cannot be recomputed.
    """
    plain = settings.plain
    backbones = [network.backbone for network in (model, getattr(model, "companion", None)) if network is not None]
    if settings.dtype == "fp64":
        model.double()
    for module in model.modules():
        module.plain = plain
    if settings.dtype == "bf16" and not settings.shard and "weights" not in plain:
        _keep_in_bfloat16(model)
    if settings.dtype == "fp32" and not settings.compile and "products" not in plain and one_dnn():
        hasten(model)
    if settings.recompute:
        _refuse_past(model)
        for backbone in backbones:
            surgery.recompute(backbone)
    if "fused" not in plain:
        surgery.fuse(model)
    for backbone in backbones:
        surgery.count_dropouts(model, backbone)
    if device == "cpu":
        if "attention" not in plain:
            for backbone in backbones:
                surgery.use_attention(backbone)
        if "memory" not in plain:
            devices.keep_freed_memory()


def _refuse_past(model: nn.Module) -> None:
    if any(not layer.in_sequence for layer in getattr(model, "prepended", ())):
        raise InputError(
            "transformers leaves out the keys and values before a sequence where layers are computed again; "
            "training.recompute is true and the method gives some. Set it to false."
        )


def _keep_in_bfloat16(model: nn.Module) -> None:
    """The frozen weights of matrix products, which autocast would cast in every pass; not of a head that is tied to an
    embedding."""
    tables = [module.weight for module in model.modules() if isinstance(module, Embedding)]
    for module in model.modules():
        if not isinstance(module, (Linear, Conv1D)) or module.weight.requires_grad:
            continue
        if all(module.weight is not table for table in tables):
            module.weight.data = module.weight.data.bfloat16()
