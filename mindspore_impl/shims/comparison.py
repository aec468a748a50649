"""Comparisons of two tensors, or of a tensor and a number. MindSpore's own also take a number as the first operand,
which torch refuses."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_tensors
from mindspore_impl.shims.pointwise import promoted

__all__ = ["eq", "fmax", "fmin", "ge", "gt", "heaviside", "isclose", "le", "lt", "ne"]


def eq(input: Tensor, other) -> Tensor:
    """Whether equal."""
    check_tensors("eq", input)
    return mint.eq(input, other)


def ge(input: Tensor, other) -> Tensor:
    """Whether greater or equal."""
    check_tensors("ge", input)
    return mint.ge(input, other)


def gt(input: Tensor, other) -> Tensor:
    """Whether greater."""
    check_tensors("gt", input)
    return mint.gt(input, other)


def le(input: Tensor, other) -> Tensor:
    """Whether less or equal."""
    check_tensors("le", input)
    return mint.le(input, other)


def lt(input: Tensor, other) -> Tensor:
    """Whether less."""
    check_tensors("lt", input)
    return mint.lt(input, other)


def ne(input: Tensor, other) -> Tensor:
    """Whether not equal."""
    check_tensors("ne", input)
    return mint.ne(input, other)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol |other|, with tolerances that are not negative."""
    check_tensors("isclose", input, other)
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: rtol and atol must not be negative; received {rtol} and {atol}.")
    return mint.isclose(input, other, rtol, atol, equal_nan)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and ``values`` at 0."""
    check_tensors("heaviside", input, values)
    if input.dtype != values.dtype:
        raise TypeError(f"heaviside: both tensors must have one dtype; received {input.dtype} and {values.dtype}.")
    if input.dtype != ms.bool_:
        return ops.heaviside(input, values)
    return ops.logical_or(input, values)


def _chosen(x: Tensor, y: Tensor, first: Tensor) -> Tensor:
    """x where it is ``first`` or y is NaN, which has the whole gradient of a tie; MindSpore's kernels take the gradient
    of float64 in float32."""
    return ops.where(ops.logical_or(first, y != y), x, y)


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger, or the number where one is NaN."""
    check_tensors("fmax", input, other)
    x, y = promoted(input, other)
    return _chosen(x, y, x >= y)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller, or the number where one is NaN."""
    check_tensors("fmin", input, other)
    x, y = promoted(input, other)
    return _chosen(x, y, x <= y)
