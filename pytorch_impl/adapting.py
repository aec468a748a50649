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
from pytorch_impl.rewrite import adapters, read_parameters, rewrite, write_parameters

__all__ = ["adapt", "outline", "read", "write"]


def outline(model: nn.Module) -> ModelSpec:
    """The modules of ``model``, without arrays and without a task."""
    return ModelSpec(type(model).__name__, "", {}, modules_of(model), (), {})


def adapt(model: nn.Module, plan: Plan, values: Mapping[str, np.ndarray]) -> None:
    """Rewrite ``model`` in place. Dropout is torch's own, and layers are computed as written down."""
    model.shared = frozenset(module.tied_to for module in modules_of(model) if module.tied_to)
    rewrite(model, plan, values)
    for layer in adapters(model).values():
        layer.plain = tuple(FAST_PATHS)
        for name, child in list(layer.named_children()):
            if isinstance(child, Dropout):
                setattr(layer, name, nn.Dropout(child.p))


def read(model: nn.Module, plan: Plan) -> dict[str, np.ndarray]:
    """Copies of every trained array, float32."""
    return read_parameters(model, plan.shapes())


def write(model: nn.Module, plan: Plan, arrays: Mapping[str, np.ndarray]) -> None:
    """Strict inverse of ``read``."""
    write_parameters(model, plan.shapes(), arrays)
