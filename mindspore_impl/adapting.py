"""Mirrors pytorch_impl.adapting; differs: linear layers and convolutions alone, which are given the path by which
the rewriting finds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.methods.plan import Plan
from common.methods.targets import refuse_repeated
from common.models.modules import CONVOLUTION, LINEAR, OTHER, ModuleSpec, Window
from common.models.specs import ModelSpec
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.rewrite import (
    adapters,
    parameters,
    read_parameters,
    rewrite,
    set_enabled,
    unmerge,
    unwrap,
    write_parameters,
)

__all__ = ["adapt", "outline", "read", "remove", "set_enabled", "write"]


def outline(model: nn.Cell) -> ModelSpec:
    """The modules of ``model``, without arrays and without a task."""
    return ModelSpec(type(model).__name__, "", {}, _modules(model), (), {})


def adapt(model: nn.Cell, plan: Plan, values: Mapping[str, np.ndarray]) -> frozenset[str]:
    """Rewrite ``model`` in place. Dropout is MindSpore's own.

    Returns:
        The parameters that were trainable before, for ``remove``.

    Raises:
        InputError: a layer that the plan edits stands at several places.
    """
    places, cells = _places(model), dict(model.cells_and_names())
    refuse_repeated({edit.path: places.get(id(cells[edit.path]), []) for edit in plan.edits})
    trainable = frozenset(name for name, parameter in parameters(model).items() if parameter.requires_grad)
    model.shared = _shared(model)
    for path, cell in model.cells_and_names():
        if isinstance(cell, nn.Dense | nn.Conv1d | nn.Conv2d):
            cell.path = path
    rewrite(model, plan, values)
    for layer in adapters(model).values():
        for name, child in list(layer.name_cells().items()):
            if isinstance(child, Dropout):
                setattr(layer, name, nn.Dropout(p=child.p).set_train(child.training))
    return trainable


def remove(model: nn.Cell, trainable: frozenset[str], merge: bool) -> None:
    """Take the layers out again; ``merge``: what is merged stays in the weights, otherwise they are put back."""
    if not merge:
        unmerge(model)
    unwrap(model)
    for name, parameter in parameters(model).items():
        parameter.requires_grad = name in trainable


def read(model: nn.Cell, plan: Plan) -> dict[str, np.ndarray]:
    """Copies of every trained array, float32."""
    return read_parameters(model, plan.shapes())


def write(model: nn.Cell, plan: Plan, arrays: Mapping[str, np.ndarray]) -> None:
    """Strict inverse of ``read``."""
    write_parameters(model, plan.shapes(), arrays)


def _places(model: nn.Cell) -> dict[int, list[str]]:
    """The paths of every cell by its id: one for each name by which another cell holds it."""
    found: dict[int, list[str]] = {}
    for path, cell in model.cells_and_names():
        for name, child in cell._cells.items():
            found.setdefault(id(child), []).append(f"{path}.{name}".lstrip("."))
    return found


def _shared(model: nn.Cell) -> frozenset[str]:
    """Cells of which another one, or the same under another name, holds a parameter too."""
    cells = dict(model.cells_and_names())
    holders = Counter(id(parameter) for cell in cells.values() for parameter in cell._params.values())
    return frozenset(
        path
        for path, cell in cells.items()
        if any(holders[id(parameter)] > 1 for parameter in cell.get_parameters(expand=False))
    )


def _modules(model: nn.Cell) -> tuple[ModuleSpec, ...]:
    found = []
    for path, cell in model.cells_and_names():
        own = list(cell.get_parameters(expand=False))
        if isinstance(cell, nn.Dense):
            found.append(ModuleSpec(path, LINEAR, cell.in_channels, cell.out_channels, cell.has_bias))
        elif isinstance(cell, nn.Conv1d | nn.Conv2d):
            window = Window(tuple(cell.kernel_size), cell.group)  # (1, size) in one dimension
            found.append(
                ModuleSpec(path, CONVOLUTION, cell.in_channels, cell.out_channels, cell.has_bias, arguments=window)
            )
        elif own:
            leaves = tuple((parameter.name.rpartition(".")[2], tuple(parameter.shape)) for parameter in own)
            found.append(ModuleSpec(path, OTHER, 0, 0, False, parameters=leaves))
    return tuple(found)
