"""Mirrors pytorch_impl.rewrite; differs: modules are found by the path they carry, since a cell's attribute names need not be Hugging Face's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Parameter, nn

from common.adaptation.merge import refuse_shared
from common.adaptation.plan import Plan
from common.errors import InputError
from common.strict import check_arrays
from mindspore_impl.dropout import DropoutKey
from mindspore_impl.lora import LoRALayer, wrap
from mindspore_impl.modules import Embedding, assign

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


def rewrite(model: nn.Cell, plan: Plan, values: Mapping[str, np.ndarray]) -> None:
    """Wrap the planned modules in place, and train exactly what the plan names."""
    if adapters(model):
        raise InputError(
            "The model is adapted already; a second adaptation would wrap the first. Build the model again."
        )
    places = {
        child.path: (parent, name)
        for _, parent in model.cells_and_names()
        for name, child in parent.name_cells().items()
        if hasattr(child, "path")
    }
    for step in plan.steps:
        parent, name = places[step.path]
        setattr(parent, name, wrap(getattr(parent, name), step, values))
    trained = plan.shapes()
    for name, parameter in parameters(model).items():
        parameter.requires_grad = name in trained
    for _, cell in model.cells_and_names():
        if isinstance(cell, Embedding):
            cell.trained = cell.weight.requires_grad


def adapters(model: nn.Cell) -> dict[str, LoRALayer]:
    """The LoRA layers by module path."""
    return {cell.step.path: cell for _, cell in model.cells_and_names() if isinstance(cell, LoRALayer)}


def parameters(model: nn.Cell) -> dict[str, Parameter]:
    """Every parameter by canonical name, without the key of the dropout masks. Tied weights appear once."""
    return {parameter.name: parameter for parameter in model.get_parameters() if parameter.name != DropoutKey.NAME}


def read_parameters(model: nn.Cell, names: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Float32 copies of the named parameters."""
    if any(layer.merged for layer in adapters(model).values()):
        raise InputError(
            "Parameters are not saved while adapters are merged: loading them would add the update twice. Call unmerge first."
        )
    found = parameters(model)
    return {name: found[name].asnumpy().astype(np.float32, copy=True) for name in names}


def write_parameters(model: nn.Cell, names: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]) -> None:
    """Strict inverse of ``read_parameters``."""
    check_arrays(names, arrays)
    found = parameters(model)
    for name, array in arrays.items():
        assign(found[name], array)


def merge(model: nn.Cell) -> dict[str, float]:
    """Merge every adapter; returns the relative rounding error by module path."""
    layers = adapters(model)
    refuse_shared(layers, model.shared)
    return {path: layer.merge() for path, layer in layers.items()}


def unmerge(model: nn.Cell) -> None:
    """Restore every base weight exactly."""
    for layer in adapters(model).values():
        layer.unmerge()


def set_enabled(model: nn.Cell, enabled: bool) -> None:
    """Switch every adapter on or off; off computes the base model."""
    for layer in adapters(model).values():
        layer.enabled = enabled
