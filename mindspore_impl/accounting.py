"""Mirrors pytorch_impl.accounting; differs: a graph does not show what it keeps, so that it is found by formula."""

from __future__ import annotations

import math

import numpy as np

from common.backend import EngineSettings
from common.memory.account import Held
from common.memory.formula import Attended, Keeps, kept, probabilities
from common.methods.plan import Plan
from common.models.specs import ModelSpec

__all__ = ["KEEPS", "held"]


def _attention(sizes: Attended) -> int:
    """Query, key and value with split heads and the result; the probabilities, and, where they are dropped out, what is
    left of them and the mask."""
    projected = 2 * sizes.rows * (sizes.queries + sizes.length) * sizes.width
    return projected + probabilities(sizes) * (3 if sizes.dropped else 1)


KEEPS = Keeps(
    norm=lambda rows, width: rows * (2 * width + 1),  # the normalised input, the spread weight, the scale
    norm_input=False,
    activation=lambda name, rows, width: rows * width * (2 if name == "gelu" else 1),  # its erf form keeps Phi as well
    attention=_attention,
    mask=lambda count: count,  # float32
    package="mindspore_impl",
)


def held(spec: ModelSpec, plan: Plan, settings: EngineSettings, rows: int, length: int) -> tuple[Held, str]:
    """Weights, and what is kept by formula; see the counterpart."""
    integers, word = spec.integers(), np.dtype(np.float32)
    shapes = spec.shapes() | plan.shapes()
    weights = {name: integers.get(name, word).itemsize * math.prod(shape) for name, shape in shapes.items()}
    return Held(weights, frozenset(plan.shapes()), kept(spec, plan, rows, length, KEEPS)), "by formula"
