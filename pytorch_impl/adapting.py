"""Adapting a network that the user built: its modules are read off it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from torch import nn

from common.backend import FAST_PATHS
from common.methods.plan import Plan
from common.methods.targets import refuse_repeated
from common.models.specs import ModelSpec
from pytorch_impl.hf_bridge.foreign import modules_of
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.rewrite import (
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


def outline(model: nn.Module) -> ModelSpec:
    """The modules of ``model``, without arrays and without a task."""
    return ModelSpec(type(model).__name__, "", {}, modules_of(model), (), {})


def adapt(model: nn.Module, plan: Plan, values: Mapping[str, np.ndarray]) -> frozenset[str]:
    """Rewrite ``model`` in place. Dropout is torch's own, and layers are computed as written down.

    Returns:
        The parameters that were trainable before, for ``remove``.

    Raises:
        InputError: a layer that the plan edits stands at several places.
    """
    places = _places(model)
    refuse_repeated({edit.path: places.get(id(model.get_submodule(edit.path)), []) for edit in plan.edits})
    trainable = frozenset(name for name, parameter in parameters(model).items() if parameter.requires_grad)
    model.shared = _shared(model)
    rewrite(model, plan, values)
    for layer in adapters(model).values():
        layer.plain = tuple(FAST_PATHS)
        for name, child in list(layer.named_children()):
            if isinstance(child, Dropout):
                setattr(layer, name, nn.Dropout(child.p).train(child.training))
    return trainable


def remove(model: nn.Module, trainable: frozenset[str], merge: bool) -> None:
    """Take the layers out again; ``merge``: what is merged stays in the weights, otherwise they are put back."""
    if not merge:
        unmerge(model)
    unwrap(model)
    for name, parameter in parameters(model).items():
        parameter.requires_grad_(name in trainable)


def read(model: nn.Module, plan: Plan) -> dict[str, np.ndarray]:
    """Copies of every trained array, float32."""
    return read_parameters(model, plan.shapes())


def write(model: nn.Module, plan: Plan, arrays: Mapping[str, np.ndarray]) -> None:
    """Strict inverse of ``read``."""
    write_parameters(model, plan.shapes(), arrays)


def _places(model: nn.Module) -> dict[int, list[str]]:
    """The paths of every module by its id: one for each name by which another module holds it."""
    found: dict[int, list[str]] = {}
    for path, module in model.named_modules():
        for name, child in module._modules.items():
            found.setdefault(id(child), []).append(f"{path}.{name}".lstrip("."))
    return found


def _shared(model: nn.Module) -> frozenset[str]:
    """Modules of which another one, or the same under another name, holds a parameter too."""
    holders = Counter(id(parameter) for module in model.modules() for parameter in module._parameters.values())
    return frozenset(
        path
        for path, module in model.named_modules()
        if any(holders[id(parameter)] > 1 for parameter in module.parameters(recurse=False))
    )
