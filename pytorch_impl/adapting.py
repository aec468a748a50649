"""Adapting a network that the user built: its modules are read off it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import nn

from common.backend import FAST_PATHS
from common.methods.plan import Plan
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
    """
    trainable = frozenset(name for name, parameter in parameters(model).items() if parameter.requires_grad)
    model.shared = frozenset(module.tied_to for module in modules_of(model) if module.tied_to)
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
