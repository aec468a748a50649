"""Fake quantisation: a network computes with the numbers that integers can be, and is trained through them as if they
were not rounded (Jacob et al. 2018; the gradient is the straight-through estimate of Bengio et al. 2013).

    q(x) = s clamp(round(x / s), -n, n),    dq/dx = 1,    n = 2^(bits - 1) - 1

A weight has a scale for each output, its largest absolute value over n. An input has one, r / n with the moving average
r of its largest absolute value, r <- decay r + (1 - decay) max|x|, which begins with the first one and is made in
training alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.edits import Edit, ParameterSpec, Zeros
from common.models.modules import ModuleSpec
from common.quantisation.integers import dequantised, quantised, scales

__all__ = ["RANGE", "FakeArguments", "edit_of", "faked", "observing", "scale_axis"]

RANGE = "input_range"  #: leaf of r


@dataclass(frozen=True)
class FakeArguments:
    """What of a module is quantised."""

    bits: int | None  #: of the weight; None leaves it
    activation_bits: int | None  #: of the input; None leaves it
    decay: float  #: of the moving average
    observes: bool = False  #: only remembers the largest absolute value, in evaluation


def scale_axis(module: ModuleSpec) -> int:
    """The axis of a stored weight along which scales differ: its outputs, or a table's rows."""
    return 1 if module.kind.transposed else 0


def edit_of(module: ModuleSpec, arguments: FakeArguments) -> Edit:
    """The edit of ``module``; where its input is looked at, ``<path>.input_range`` (1,) is among the parameters, though
    no gradient moves it, so that it is kept with the rest."""
    looked_at = arguments.observes or arguments.activation_bits is not None
    found = ParameterSpec(f"{module.path}.{RANGE}", (1,), RANGE, Zeros(), decay=False)
    return Edit(module.path, "fake_quantised", "wrap", module, arguments, (found,) if looked_at else ())


def observing(module: ModuleSpec) -> Edit:
    """The edit that changes nothing and remembers the largest absolute value of the inputs."""
    return edit_of(module, FakeArguments(None, None, 0.0, True))


def faked(module: ModuleSpec, weight: np.ndarray, bits: int) -> np.ndarray:
    """The weight as the layer computes with it, float32."""
    axis = scale_axis(module)
    rows = np.moveaxis(np.asarray(weight, np.float32), axis, 0)
    matrix = rows.reshape(len(rows), -1)
    scale = scales(matrix, bits)
    return np.moveaxis(dequantised(quantised(matrix, scale, bits), scale).reshape(rows.shape), 0, axis)
