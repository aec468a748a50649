"""Elementwise functions of two tensors or of a tensor and a number."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_divisor
from mindspore_impl.shims.pointwise import floating, level, log, number, promoted, signbit

__all__ = [
    "add", "addcdiv", "addcmul", "atan2", "copysign", "div", "equal", "floor_divide", "fmin", "fmod", "ldexp", "logaddexp", "logaddexp2", "maximum", "minimum",
    "mul", "pow", "remainder", "rsub", "sub", "xlogy",
]  # fmt: skip


def _is_whole(value) -> bool:
    return not value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, int)


def _like(value, tensor: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else ops.zeros_like(tensor) + number(value, tensor)


def add(input: Tensor, other, *, alpha=1) -> Tensor:
    """input + alpha other."""
    input, other = promoted(input, other)
    return (
        mint.add(input, other * number(alpha, input))
        if isinstance(alpha, float)
        else mint.add(input, other, alpha=alpha)
    )


def sub(input: Tensor, other, *, alpha=1) -> Tensor:
    """input - alpha other."""
    input, other = promoted(input, other)
    return (
        mint.sub(input, other * number(alpha, input))
        if isinstance(alpha, float)
        else mint.sub(input, other, alpha=alpha)
    )


def mul(input: Tensor, other) -> Tensor:
    """input other."""
    return mint.mul(input, number(other, input))


def pow(input, exponent) -> Tensor:
    """input ^ exponent; either may be a number. A power of 0 has no slope, at 0 neither."""
    base, exponent = promoted(input, exponent)
    if isinstance(exponent, int) and exponent < 0 and _is_whole(base):
        raise ValueError(f"pow: integers have no negative powers; received {exponent}. Use floating point numbers.")
    return mint.pow(
        level(base, exponent == 0) if isinstance(base, Tensor) and base.is_floating_point() else base, exponent
    )


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value=1) -> Tensor:
    """input + value tensor1 tensor2, in the dtype of its tensors; MindSpore's rounds the number to float32."""
    product = tensor1 * tensor2
    if value == 1:
        return input + product
    return input + product * (number(value, product) if product.is_floating_point() else int(value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value=1) -> Tensor:
    """input + value tensor1 / tensor2, in the dtype of its tensors; torch has it for floating point numbers only."""
    if not (tensor1.is_floating_point() or tensor2.is_floating_point()):
        raise TypeError("addcdiv: integers are not divided; use torch.div with a rounding_mode.")
    return input + div(tensor1 if value == 1 else tensor1 * number(value, tensor1), tensor2)


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """Angle of the point (other, input), with the gradient 0 in the origin."""
    input, other = promoted(input, other)
    y, x = floating(input), floating(other)
    origin = ops.logical_and(y == 0, x == 0)
    one = ops.ones_like(x)
    return ops.where(origin, ops.stop_gradient(ops.atan2(y, x)), ops.atan2(y, ops.where(origin, one, x)))


def copysign(input: Tensor, other) -> Tensor:
    """|input| with the sign of ``other``, where -0 is negative."""
    size = ops.abs(floating(input))
    return ops.where(signbit(_like(other, size)), -size, size)


def div(input: Tensor, other, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, where dividing by -0 gives the other infinity; ``rounding_mode`` floor or trunc."""
    other = number(other, input)
    if rounding_mode not in (None, "floor", "trunc"):
        raise ValueError(f"div: rounding_mode must be None, floor or trunc; received {rounding_mode}.")
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        if _is_whole(input) and _is_whole(other):
            check_divisor("div", other)
            return ops.div(input.astype(ms.float64), other, rounding_mode="trunc").astype(input.dtype)
        return ops.trunc(input / other)
    if not isinstance(other, Tensor) or not other.is_floating_point():
        return ops.div(input, other)
    nothing, one = (
        other == 0,
        ops.ones_like(other),
    )  # each divisor where it is not used is 1: the gradient's infinity times 0 would be NaN
    return ops.where(
        nothing, input * ops.reciprocal(ops.where(nothing, other, one)), ops.div(input, ops.where(nothing, one, other))
    )


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal."""
    return input.shape == other.shape and bool(ops.equal(input, other).all())


def _fmod(x: Tensor, y: Tensor) -> Tensor:
    """In float64, where the quotient of float32 numbers is exact enough."""
    left = x - ops.trunc(x / y) * y
    return ops.where(ops.logical_and(ops.isinf(y), ops.isfinite(x)), x, left)


def _doubles(input: Tensor, other) -> tuple[Tensor, Tensor]:
    return input.astype(ms.float64), _like(other, input.astype(ms.float64)).astype(ms.float64)


def _result_dtype(input: Tensor, other):
    return floating(input).dtype if not _is_whole(other) or not _is_whole(input) else input.dtype


def floor_divide(input: Tensor, other) -> Tensor:
    """Quotient rounded down, as Python's ``//``."""
    input, other = promoted(input, other)
    if _is_whole(input) and _is_whole(other):
        check_divisor("floor_divide", other)
        return ops.floor_divide(input, other)
    x, y = _doubles(input, other)
    left = _fmod(x, y)
    quotient = (x - left) / y - ops.logical_and(left != 0, (left < 0) != (y < 0)).astype(ms.float64)
    return ops.where(y == 0, x * ops.reciprocal(y), ops.floor(quotient + 0.25)).astype(_result_dtype(input, other))


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller, or the number where one is NaN."""
    return -ops.fmax(-input, -other)


def fmod(input: Tensor, other) -> Tensor:
    """Remainder with the sign of ``input``, through float64."""
    input, other = promoted(input, other)
    if _is_whole(input) and _is_whole(other):
        check_divisor("fmod", other)
    return _fmod(*_doubles(input, other)).astype(_result_dtype(input, other))


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input 2^other, in the dtype of what floats."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise TypeError("ldexp: two tensors are needed.")
    found = ops.ldexp(input, other)
    if not input.is_floating_point() and not other.is_floating_point():
        return found
    wanted = promoted(input, other)[0].dtype
    return found.astype(wanted)


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)), through float64: near 0 the float32 exponential is too coarse."""
    x, y = input.astype(ms.float64), other.astype(ms.float64)
    larger = maximum(x, y)
    infinite = ops.isinf(larger)  # whose distance may be NaN
    distance = ops.where(infinite, ops.zeros_like(larger), x) - ops.where(infinite, ops.zeros_like(larger), y)
    return ops.where(infinite, larger, larger + ops.log1p(ops.exp(-ops.abs(distance)))).astype(input.dtype)


def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^input + 2^other)."""
    scale = number(math.log(2.0), input)
    return logaddexp(input * scale, other * scale) / scale


def _with_nan(input: Tensor, other: Tensor, chosen: Tensor) -> Tensor:
    """``chosen``, or the NaN of either."""
    chosen = ops.where(ops.isnan(other), other, chosen) if other.is_floating_point() else chosen
    return ops.where(ops.isnan(input), input, chosen) if input.is_floating_point() else chosen


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger; NaN spreads, empty tensors are allowed."""
    input, other = promoted(input, other)
    if 0 in input.shape or 0 in other.shape:
        return input + other
    return _with_nan(input, other, ops.maximum(input, other))


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller; NaN spreads, empty tensors are allowed."""
    input, other = promoted(input, other)
    if 0 in input.shape or 0 in other.shape:
        return input + other
    return _with_nan(input, other, ops.minimum(input, other))


def remainder(input: Tensor, other) -> Tensor:
    """Remainder with the sign of ``other``, as Python's ``%``, through float64."""
    input, other = promoted(input, other)
    if _is_whole(input) and _is_whole(other):
        check_divisor("remainder", other)
    x, y = _doubles(input, other)
    left = _fmod(x, y)
    return ops.where(ops.logical_and(left != 0, (left < 0) != (y < 0)), left + y, left).astype(
        _result_dtype(input, other)
    )


def rsub(input: Tensor, other, *, alpha=1) -> Tensor:
    """other - alpha input."""
    input, other = promoted(input, other)
    return other - input * number(alpha, input)


def xlogy(input: Tensor, other) -> Tensor:
    """input log(other), 0 where input is 0."""
    input, other = promoted(input, other)
    x = floating(input)
    y = _like(number(other, x), x)
    y = floating(y)
    nothing = ops.logical_and(
        x == 0, ops.logical_or(y <= 0, y == float("inf"))
    )  # elsewhere 0 log(y) is 0 by itself, and its slope log(y)
    return ops.where(nothing, ops.zeros_like(x), level(x, nothing) * log(y))
