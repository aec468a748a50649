"""Carrying out a plan on a built model, and reaching its parameters by canonical name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.adaptation.merge import refuse_shared
from common.adaptation.plan import Plan
from common.errors import InputError
from common.strict import check_arrays
from pytorch_impl.lora import LoRALayer, wrap

__all__ = [
    "adapters",
    "merge",
    "parameters",
    "read_parameters",
    "rewrite",
    "set_enabled",
    "unmerge",
    "write_parameters",
]


def rewrite(model: nn.Module, plan: Plan, values: Mapping[str, np.ndarray]) -> None:
    """Wrap the planned modules in place, and train exactly what the plan names.

    Args:
        values: starting values of the adapters, by name (`common.adaptation.initial_values`).

    Raises:
        InputError: the model is adapted already.
    """
    if adapters(model):
        raise InputError(
            "The model is adapted already; a second adaptation would wrap the first. Build the model again."
        )
    for step in plan.steps:
        parent_path, _, leaf = step.path.rpartition(".")
        parent = model.get_submodule(parent_path)
        setattr(parent, leaf, wrap(getattr(parent, leaf), step, values))
    trained = plan.shapes()
    for name, parameter in parameters(model).items():
        parameter.requires_grad_(name in trained)


def adapters(model: nn.Module) -> dict[str, LoRALayer]:
    """The LoRA layers by module path."""
    return {module.step.path: module for module in model.modules() if isinstance(module, LoRALayer)}


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by canonical name: the wrapper's ``base_layer`` leaves no trace. Tied weights appear once."""
    return {name.replace(".base_layer.", "."): parameter for name, parameter in model.named_parameters()}


def read_parameters(model: nn.Module, names: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Float32 copies of the named parameters.

    Raises:
        InputError: the model is merged, so that base weights are not what they were.
    """
    if any(layer.merged for layer in adapters(model).values()):
        raise InputError(
            "Parameters are not saved while adapters are merged: loading them would add the update twice. Call unmerge first."
        )
    found = parameters(model)
    return {name: found[name].detach().float().cpu().numpy().copy() for name in names}


def write_parameters(model: nn.Module, names: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]) -> None:
    """Strict inverse of ``read_parameters``: missing, unexpected and wrongly shaped arrays are an error that lists them, and nothing is written."""
    check_arrays(names, arrays)
    found = parameters(model)
    with torch.no_grad():
        for name, array in arrays.items():
            found[name].copy_(torch.from_numpy(np.array(array, np.float32)))


def merge(model: nn.Module) -> dict[str, float]:
    """Merge every adapter; returns the relative rounding error by module path.

    Raises:
        InputError: a layer is merged already, or its weight is shared with the head; nothing was merged.
    """
    layers = adapters(model)
    refuse_shared(layers, model.shared)
    return {path: layer.merge() for path, layer in layers.items()}


def unmerge(model: nn.Module) -> None:
    """Restore every base weight exactly."""
    for layer in adapters(model).values():
        layer.unmerge()


def set_enabled(model: nn.Module, enabled: bool) -> None:
    """Switch every adapter on or off; off computes the base model."""
    for layer in adapters(model).values():
        layer.enabled = enabled
