"""Building models from a `ModelSpec`. BERT and GPT-2 have a module each; every other `transformers` model goes through `auto`."""

from __future__ import annotations

from types import ModuleType

from torch import nn

from common.models.specs import ModelSpec
from pytorch_impl import attention as attention  # registers itself with transformers, whose networks these are
from pytorch_impl.models import auto, bert, gpt2
from pytorch_impl.models.auto import describe

__all__ = ["build_model", "describe", "family"]

_FAMILIES: dict[str, ModuleType] = {"bert": bert, "gpt2": gpt2}


def family(name: str) -> ModuleType:
    """The module that builds and runs a family: ``build``, ``logits``, ``loss_sum``, ``hidden_states``."""
    return _FAMILIES.get(name, auto)


def build_model(spec: ModelSpec, device: str) -> nn.Module:
    """Build ``spec`` on ``device`` with its arrays, in evaluation mode.

    Raises:
        InputError: the arrays are not exactly the model's parameters.
    """
    from pytorch_impl.rewrite import write_parameters

    model = family(spec.family).build(spec.config, spec.task)
    write_parameters(model, {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}, spec.arrays)
    model.family, model.shared = spec.family, spec.shared
    return model.to(device).eval()
