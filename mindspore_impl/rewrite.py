"""Mirrors pytorch_impl.rewrite; differs: modules are found by the path they carry, since a cell's attribute names need
not be Hugging Face's."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from mindspore import Parameter, nn

from common.edits import Edit
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_in_place
from common.methods.plan import Plan
from common.strict import Expected, check_arrays
from mindspore_impl.layers.dropout import DropoutKey
from mindspore_impl.layers.modules import assign
from mindspore_impl.layers.wrapper import Wrapper

__all__ = [
    "adapters",
    "carry_out",
    "choose",
    "layer_of",
    "merge",
    "parameters",
    "read_parameters",
    "restore",
    "rewrite",
    "set_enabled",
    "unmerge",
    "unwrap",
    "write_parameters",
]


def layer_of(edit: Edit) -> Callable[[nn.Cell, Edit, Mapping[str, np.ndarray]], nn.Cell]:
    """What builds the layer of ``edit`` from the module at its path, the edit and the start values."""
    return importlib.import_module(f"mindspore_impl.layers.{edit.layer}").build


def carry_out(model: nn.Cell, edits: Iterable[Edit], values: Mapping[str, np.ndarray]) -> list[nn.Cell]:
    """Put the layer of every edit in its place, and return the layers.

    Args:
        values: start values of the edits' parameters, by name; what is missing is written later.
    """
    places = _places(model)
    built = []
    for edit in edits:
        parent, name = places[edit.path]
        cell = getattr(parent, name)
        layer = layer_of(edit)(cell, edit, values).set_train(cell.training)
        _put(parent, name, layer)
        built.append(layer)
    return built


def _places(model: nn.Cell) -> dict[str, tuple[nn.Cell, str]]:
    """Of every cell that knows its path: the cell that holds it, and under which name."""
    return {
        child.path: (parent, name)
        for _, parent in model.cells_and_names()
        for name, child in parent.name_cells().items()
        if hasattr(child, "path")
    }


def find(model: nn.Cell, path: str) -> nn.Cell:
    """The cell at ``path``."""
    parent, name = _places(model)[path]
    return getattr(parent, name)


def replace(model: nn.Cell, path: str, cell: nn.Cell) -> None:
    """Put ``cell`` where the one at ``path`` is."""
    _put(*_places(model)[path], cell)


def _put(parent: nn.Cell, name: str, cell: nn.Cell) -> None:
    setattr(parent, name, cell)
    if isinstance(parent, nn.SequentialCell):
        parent.cell_list = tuple(parent.name_cells().values())  # what it calls, which setting an attribute leaves


def rewrite(model: nn.Cell, plan: Plan, values: Mapping[str, np.ndarray]) -> None:
    """Carry out the plan in place, and train exactly what it names.

    Args:
        values: start values of what the edits add (`common.methods.plan.Plan.initial_values`).

    Raises:
        InputError: the model is adapted already.
    """
    if adapters(model):
        raise InputError(
            "The model is adapted already; a second adaptation would wrap the first. Build the model again."
        )
    method = METHODS.get(plan.method)
    for layer in carry_out(model, plan.edits, values):
        if isinstance(layer, Wrapper):
            layer.method = method
            if layer.edit.mode == "prepend":
                model.prepended = layer
    trained = plan.shapes()
    for name, parameter in parameters(model).items():
        parameter.requires_grad = name in trained
    for _, cell in model.cells_and_names():
        if hasattr(cell, "trained"):  # graphs cannot ask a parameter
            cell.trained = any(parameter.requires_grad for parameter in cell.get_parameters())


def adapters(model: nn.Cell) -> dict[str, Wrapper]:
    """The wrapping layers by module path."""
    return {cell.edit.path: cell for _, cell in model.cells_and_names() if isinstance(cell, Wrapper)}


def parameters(model: nn.Cell) -> dict[str, Parameter]:
    """Every parameter by canonical name, without the key of the dropout masks. Tied weights appear once."""
    return {parameter.name: parameter for parameter in model.get_parameters() if parameter.name != DropoutKey.NAME}


def read_parameters(model: nn.Cell, names: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Float32 copies of the named parameters.

    Raises:
        InputError: the model is merged, so that base weights are not what they were.
    """
    if any(layer.merged for layer in adapters(model).values()):
        raise InputError(
            "Parameters are not saved while adapters are merged: loading them would add the update twice. "
            "Call unmerge first."
        )
    found = parameters(model)
    return {name: found[name].asnumpy().astype(np.float32, copy=True) for name in names}


def write_parameters(model: nn.Cell, names: Mapping[str, Expected], arrays: Mapping[str, np.ndarray]) -> None:
    """Strict inverse of ``read_parameters``: missing, unexpected and wrongly shaped arrays are an error that lists
    them, and nothing is written.

    Raises:
        InputError: they are others, or the model is merged, so that it would go on computing with the old ones.
    """
    check_arrays(names, arrays)
    if any(layer.merged for layer in adapters(model).values()):
        raise InputError(
            "Parameters are not loaded while adapters are merged: the weights hold the old update. Call unmerge first."
        )
    found = parameters(model)
    for name, array in arrays.items():
        assign(found[name], array)


def merge(model: nn.Cell) -> dict[str, float]:
    """Merge every adapter; returns the relative rounding error by module path.

    Raises:
        InputError: a layer is merged already, has no merged form, wraps a layer without a single weight, or shares
            its weight with the head; nothing was merged.
    """
    return merged_in_place(adapters(model), model.shared)


def unmerge(model: nn.Cell) -> None:
    """Restore every base weight exactly."""
    for layer in adapters(model).values():
        layer.unmerge()


def unwrap(model: nn.Cell) -> None:
    """Put the base layer of every adapter back in its place."""
    parents = [cell for _, cell in model.cells_and_names() if not isinstance(cell, Wrapper)]
    for parent in parents:
        for name, child in list(parent.name_cells().items()):
            if isinstance(child, Wrapper):
                _put(parent, name, child.base_layer)
    if getattr(model, "prepended", None) is not None:
        model.prepended = None


def restore(model: nn.Cell, plan: Plan, arrays: Mapping[str, np.ndarray]) -> None:
    """Take the layers of ``plan`` out again, and give the base parameters that it trained their values in ``arrays``."""
    unwrap(model)
    trained = {parameter.name: parameter.shape for parameter in plan.unfrozen}
    write_parameters(model, trained, {name: arrays[name] for name in trained})


def choose(model: nn.Cell, rows: np.ndarray) -> None:
    """Which adapter each row of the next batch uses, by number, where a network holds several (`common.methods.mixing`).

    Args:
        rows: ``(batch,)`` int32.
    """
    for layer in adapters(model).values():
        layer.choose(rows)


def set_enabled(model: nn.Cell, enabled: bool) -> None:
    """Switch every adapter on or off; off computes the base model."""
    for layer in adapters(model).values():
        layer.enabled = enabled
