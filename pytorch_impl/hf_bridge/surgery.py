"""Putting the project's dropout, attention and activations into networks of `transformers`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MethodType

from torch import nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from common.backend import FAST_PATHS
from common.errors import InputError
from pytorch_impl.hf_bridge.attention import ATTENTION
from pytorch_impl.layers.dropout import Dropout

__all__ = ["DROPOUT_ENTRY", "compute_by", "count_dropouts", "fuse", "recompute", "use_attention"]

DROPOUT_ENTRY = re.compile(r"(dropout|dropout_prob|_pdrop)$")  #: of a configuration, in whatever family


def compute_by(backbone: nn.Module, ways: Mapping[type, Callable]) -> nn.Module:
    """``backbone``, whose modules of these types have another ``forward``. It reads off their ``plain`` when to call the
    one of their type: always, until `pytorch_impl.preparation` says what is plain; and when torch.compile reads it, which
    fuses by itself."""
    for module in backbone.modules():
        if type(module) in ways:
            module.plain, module.forward = tuple(FAST_PATHS), MethodType(ways[type(module)], module)
    return backbone


def count_dropouts(model: nn.Module, backbone: nn.Module) -> None:
    """A network's own dropouts become `Dropout`, that of its attention probabilities as well."""
    for path, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            parent, _, leaf = path.rpartition(".")
            setattr(model.get_submodule(parent), leaf, Dropout(path, module.p))
        elif "Attention" in type(module).__name__ and not hasattr(module, "probabilities"):
            module.probabilities = Dropout(f"{path}.probabilities", 0.0)  # its probability is known when it is called
    if isinstance(backbone, PreTrainedModel):
        entries = backbone.config.to_dict().items()
        dropped = any(value for name, value in entries if DROPOUT_ENTRY.search(name))
        if dropped and backbone._can_set_attn_implementation():  # others have a module for their dropout
            backbone.set_attn_implementation(ATTENTION)


def use_attention(backbone: nn.Module) -> None:
    """Compute attention with `pytorch_impl.layers.attention` where torch's own is chosen."""
    if isinstance(backbone, PreTrainedModel) and backbone.config._attn_implementation == "sdpa":
        backbone.set_attn_implementation(ATTENTION)


def fuse(model: nn.Module) -> None:
    """Compute the tanh form of GELU as one operator, which keeps its input alone, where `transformers` composes it of
    eight."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, nn.GELU("tanh"))


def recompute(backbone: nn.Module) -> None:
    """Keep the inputs of layers alone and compute the rest again in the backward pass.

    Raises:
        InputError: `transformers` cannot do so for this network.
    """
    if not getattr(backbone, "supports_gradient_checkpointing", False):
        raise InputError(
            f"training.recompute needs a model of which transformers can compute layers again; "
            f"{type(backbone).__name__} is none. Set it to false."
        )
    backbone.gradient_checkpointing_enable({"use_reentrant": False})
