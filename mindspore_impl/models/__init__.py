"""Mirrors pytorch_impl.models; differs: families need native cells, so there is no way around BERT and GPT-2."""

from __future__ import annotations

from types import ModuleType

from mindspore import nn

from common.models.specs import ModelSpec
from mindspore_impl.models import auto, bert, gpt2
from mindspore_impl.models.auto import describe

__all__ = ["build_model", "describe", "family"]

_FAMILIES: dict[str, ModuleType] = {"bert": bert, "gpt2": gpt2}


def family(name: str) -> ModuleType:
    """The module that builds and runs a family: ``build``, ``logits``, ``hidden_states``."""
    return _FAMILIES.get(name, auto)


def build_model(spec: ModelSpec, device: str) -> nn.Cell:
    """Build ``spec`` with its arrays, in evaluation mode, on the device that `device.select` set."""
    from mindspore_impl.rewrite import parameters, write_parameters

    model = family(spec.family).build(spec.config, spec.task)
    write_parameters(
        model, {name: tuple(parameter.shape) for name, parameter in parameters(model).items()}, spec.arrays
    )
    model.family, model.shared, model.device = spec.family, spec.shared, device
    return model.set_train(False)
