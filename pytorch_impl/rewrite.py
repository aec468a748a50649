"""Carrying out edits on a built model, and reaching its parameters by canonical name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_in_place
from common.methods.plan import Plan
from common.strict import Expected, check_arrays
from pytorch_impl.layers.wrapper import Wrapper

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


def layer_of(edit: Edit) -> Callable[[nn.Module, Edit, Mapping[str, np.ndarray]], nn.Module]:
    """What builds the layer of ``edit`` from the module at its path, the edit and the start values."""
    return importlib.import_module(f"pytorch_impl.layers.{edit.layer}").build


def carry_out(model: nn.Module, edits: Iterable[Edit], values: Mapping[str, np.ndarray]) -> list[nn.Module]:
    """Put the layer of every edit in its place, and return the layers.

    Args:
        values: start values of the edits' parameters, by name; what is missing is written later.
    """
    built = []
    for edit in edits:
        parent_path, _, leaf = edit.path.rpartition(".")
        parent = model.get_submodule(parent_path)
        module = getattr(parent, leaf)
        layer = layer_of(edit)(module, edit, values).train(module.training)
        setattr(parent, leaf, layer)
        built.append(layer)
    return built


def rewrite(model: nn.Module, plan: Plan, values: Mapping[str, np.ndarray]) -> None:
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
                model.prepended = (layer,)
    trained = plan.shapes()
    for name, parameter in parameters(model).items():
        parameter.requires_grad_(name in trained)


def adapters(model: nn.Module) -> dict[str, Wrapper]:
    """The wrapping layers by module path."""
    return {module.edit.path: module for module in model.modules() if isinstance(module, Wrapper)}


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
            "Parameters are not saved while adapters are merged: loading them would add the update twice. "
            "Call unmerge first."
        )
    found = parameters(model)
    return {name: found[name].detach().float().cpu().numpy().copy() for name in names}


def write_parameters(model: nn.Module, names: Mapping[str, Expected], arrays: Mapping[str, np.ndarray]) -> None:
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
    with torch.no_grad():
        for name, array in arrays.items():
            dtype = np.float32 if found[name].is_floating_point() else array.dtype
            found[name].copy_(torch.from_numpy(np.array(array, dtype)))


def merge(model: nn.Module) -> dict[str, float]:
    """Merge every adapter; returns the relative rounding error by module path.

    Raises:
        InputError: a layer is merged already, has no merged form, wraps a layer without a single weight, or shares
            its weight with the head; nothing was merged.
    """
    return merged_in_place(adapters(model), model.shared)


def unmerge(model: nn.Module) -> None:
    """Restore every base weight exactly."""
    for layer in adapters(model).values():
        layer.unmerge()


def unwrap(model: nn.Module) -> None:
    """Put the base layer of every adapter back in its place."""
    for path, layer in adapters(model).items():
        parent_path, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(parent_path), leaf, layer.base_layer)
    if getattr(model, "prepended", ()):
        model.prepended = ()


def restore(model: nn.Module, plan: Plan, arrays: Mapping[str, np.ndarray]) -> None:
    """Take the layers of ``plan`` out again, and give the base parameters that it trained their values in ``arrays``."""
    unwrap(model)
    trained = {parameter.name: parameter.shape for parameter in plan.unfrozen}
    write_parameters(model, trained, {name: arrays[name] for name in trained})


def choose(model: nn.Module, rows: np.ndarray) -> None:
    """Which adapter each row of the next batch uses, by number, where a network holds several (`common.methods.mixing`).

    Args:
        rows: ``(batch,)`` int32.
    """
    for layer in adapters(model).values():
        layer.choose(rows)


def set_enabled(model: nn.Module, enabled: bool) -> None:
    """Switch every adapter on or off; off computes the base model."""
    for layer in adapters(model).values():
        layer.enabled = enabled
