"""Elementwise functions of two tensors or of a tensor and a number."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_divisor, check_tensors
from mindspore_impl.shims.complexes import product, quotient, sum_of
from mindspore_impl.shims.pointwise import (
    fine,
    floating,
    level,
    log,
    log1p,
    met,
    number,
    promoted,
    real,
    signbit,
    single,
)

__all__ = [
    "add", "addcdiv", "addcmul", "atan2", "bitwise_left_shift", "bitwise_right_shift", "copysign", "div", "equal",
    "float_power", "floor_divide", "fmod", "hypot", "ldexp", "lerp", "logaddexp", "logaddexp2", "maximum", "minimum",
    "mul", "pow", "remainder", "rsub", "sub", "xlogy",
]  # fmt: skip


def bitwise_left_shift(input, other) -> Tensor:
    """Bits moved up; 0 where ``other`` is negative or no bit is left, where the kernel counts modulo the width."""
    x, count, inside = _shift(input, other)
    return ops.where(inside, ops.bitwise_left_shift(x, count), ops.zeros_like(x))


def bitwise_right_shift(input, other) -> Tensor:
    """Bits moved down, the sign filled in; where ``other`` is negative or no bit is left, the sign alone."""
    x, count, inside = _shift(input, other)
    sign = ops.where(x < 0, ops.full_like(x, -1), ops.zeros_like(x)) if x.dtype != ms.uint8 else ops.zeros_like(x)
    return ops.where(inside, ops.bitwise_right_shift(x, count), sign)


def _shift(input, other) -> tuple[Tensor, Tensor, Tensor]:
    """Both in one dtype and shape, the counts that exist and 0, and which exist."""
    x, count = promoted(input, other)
    x = x if isinstance(x, Tensor) else ops.full_like(count, x)
    x, count = met(x, count if isinstance(count, Tensor) else ops.full_like(x, count))
    if x.dtype not in (ms.uint8, ms.int8, ms.int16, ms.int32, ms.int64):
        raise TypeError(f"a shift needs whole numbers; received {x.dtype}.")
    wide = count.astype(ms.int64)
    inside = ops.logical_and(wide >= 0, wide < 8 * x.itemsize)
    return x, ops.where(inside, count, ops.zeros_like(count)), inside


def _is_whole(value) -> bool:
    return not value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, int)


def _complex(value) -> bool:
    return value.is_complex() if isinstance(value, Tensor) else isinstance(value, complex)


def _like(value, tensor: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else ops.zeros_like(tensor) + number(value, tensor)


def add(input: Tensor, other, *, alpha=1) -> Tensor:
    """input + alpha other."""
    if _complex(input) or _complex(other):
        return sum_of(input, other, alpha)
    input, other = promoted(input, other)
    return (
        mint.add(input, other * number(alpha, input))
        if isinstance(alpha, float)
        else mint.add(input, other, alpha=alpha)
    )


def sub(input: Tensor, other, *, alpha=1) -> Tensor:
    """input - alpha other."""
    if _complex(input) or _complex(other):
        return sum_of(input, other, -alpha)
    input, other = promoted(input, other)
    return (
        mint.sub(input, other * number(alpha, input))
        if isinstance(alpha, float)
        else mint.sub(input, other, alpha=alpha)
    )


def mul(input: Tensor, other) -> Tensor:
    """input other."""
    if _complex(input) or _complex(other):
        return product(input, other)
    return mint.mul(*met(input, number(other, input)))


def pow(input, exponent) -> Tensor:
    """input ^ exponent; either may be a number. A power of 0 has no slope, at 0 neither."""
    if not isinstance(input, Tensor):
        check_tensors("pow", exponent)
    base, exponent = promoted(input, exponent)
    if isinstance(exponent, int) and exponent < 0 and _is_whole(base):
        raise ValueError(f"pow: integers have no negative powers; received {exponent}. Use floating point numbers.")
    return mint.pow(
        level(base, exponent == 0) if isinstance(base, Tensor) and base.is_floating_point() else base, exponent
    )


def float_power(input, exponent) -> Tensor:
    """input ^ exponent in float64; either may be a number."""
    return mint.float_power(*met(input, exponent))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value=1) -> Tensor:
    """input + value tensor1 tensor2, in the dtype of its tensors; MindSpore's rounds the number to float32."""
    product = mul(real(tensor1), tensor2)
    if value != 1:
        product = product * (number(value, product) if product.is_floating_point() else int(value))
    input, product = met(input, product)
    return input + product


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value=1) -> Tensor:
    """input + value tensor1 / tensor2, in the dtype of its tensors; torch has it for floating point numbers only."""
    if not (tensor1.is_floating_point() or tensor2.is_floating_point()):
        raise TypeError("addcdiv: integers are not divided; use torch.div with a rounding_mode.")
    input, quotient = met(input, div(tensor1 if value == 1 else tensor1 * number(value, tensor1), tensor2))
    return input + quotient


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """Angle of the point (other, input), with the gradient 0 in the origin."""
    input, other = promoted(input, other)
    y, x = floating(input), floating(other)
    origin = ops.logical_and(y == 0, x == 0)
    one = ops.ones_like(x)
    return ops.where(origin, ops.stop_gradient(ops.atan2(y, x)), ops.atan2(y, ops.where(origin, one, x)))


def copysign(input: Tensor, other) -> Tensor:
    """|input| with the sign of ``other``, where -0 is negative."""
    size, other = met(ops.abs(floating(input)), _like(other, floating(input)))
    return ops.where(signbit(other), -size, size)


def div(input: Tensor, other, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, where dividing by -0 gives the other infinity; ``rounding_mode`` floor or trunc."""
    if _complex(input) or _complex(other):
        return quotient(input, other, rounding_mode)
    input, other = met(input, number(other, input))
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


_ROUNDS = 6  #: each takes 52 digits off a quotient; float32 numbers have quotients below 2^277
_SPLIT = 134217729.0  #: 2^27 + 1: the upper and the lower digits of a float64 number


def _fmod(x: Tensor, y: Tensor) -> Tensor:
    """x - trunc(x / y) y in float64 without rounding, the leading digits of the quotient first.

    NaN where the quotient is above 1e299, in a graph already above 2^312.
    """
    fixed, divisor = ops.stop_gradient(x), ops.abs(ops.stop_gradient(y))
    usual = ops.logical_and(ops.logical_and(ops.isfinite(fixed), ops.isfinite(divisor)), divisor > 0)
    size = ops.where(usual, divisor, ops.ones_like(divisor))
    unit = ops.where(size > 2.0**100, ops.full_like(size, 2.0**-100), ops.ones_like(size))  # so that nothing overflows
    left, size = ops.abs(ops.where(usual, fixed, ops.zeros_like(fixed))) * unit, size * unit
    graph = not hasattr(x, "assign_value")
    for _ in range(_ROUNDS if graph else 8 * _ROUNDS):
        left = _less(left, ops.trunc(left / size), size)
        if not graph and not bool((ops.abs(left) >= size).any()):
            break
    left = ops.where(ops.abs(left) < size, left, ops.full_like(left, math.nan))
    left = ops.where(left < 0, left + size, left) / unit
    left = ops.where(ops.abs(fixed) < divisor, fixed, ops.where(fixed < 0, -left, left))
    formula = x - ops.trunc(ops.stop_gradient(x / y)) * y  # which has the gradient, and NaN
    slope = ops.where(ops.isfinite(formula), formula - ops.stop_gradient(formula), ops.zeros_like(formula))
    found = ops.where(usual, left + slope, formula)
    return ops.where(ops.logical_and(ops.isinf(y), ops.isfinite(x)), x, found)


def _less(x: Tensor, quotient: Tensor, y: Tensor) -> Tensor:
    """x - quotient y, of which the rounding is taken off again (Dekker 1971)."""
    product = quotient * y
    split = Tensor(_SPLIT, ms.float64)
    a, b = quotient * split, y * split
    high, top = a - (a - quotient), b - (b - y)
    low, rest = quotient - high, y - top
    rounding = ((high * top - product) + high * rest + low * top) + low * rest
    return (x - product) - rounding


def _doubles(input: Tensor, other) -> tuple[Tensor, Tensor]:
    return real(input).astype(ms.float64), _like(other, input.astype(ms.float64)).astype(ms.float64)


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


def fmod(input: Tensor, other) -> Tensor:
    """Remainder with the sign of ``input``, through float64."""
    input, other = promoted(input, other)
    if _is_whole(input) and _is_whole(other):
        check_divisor("fmod", other)
    return _fmod(*_doubles(input, other)).astype(_result_dtype(input, other))


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input^2 + other^2) without overflow; infinite where one of them is, also beside NaN. In the dtype that torch
    chooses."""
    check_tensors("hypot", input, other)
    input, other = promoted(input, other)
    if not input.is_floating_point():
        raise TypeError(f"hypot: a floating point dtype is needed; received {input.dtype}.")
    x, y = fine(input), fine(other)
    size = ops.stop_gradient(maximum(ops.abs(x), ops.abs(y)))
    unit = ops.where(ops.logical_and(ops.isfinite(size), size > 0), size, ops.ones_like(size))
    infinite = ops.logical_or(ops.isinf(x), ops.isinf(y))
    a, b = x / unit, y / unit
    found = ops.sqrt(a * a + b * b) * unit
    return ops.where(infinite, ops.full_like(found, math.inf), found).astype(input.dtype)


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input 2^other, in the dtype of what floats."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise TypeError("ldexp: two tensors are needed.")
    found = ops.ldexp(input, other)
    if not input.is_floating_point() and not other.is_floating_point():
        return found
    wanted = promoted(input, other)[0].dtype
    return found.astype(wanted)


def lerp(input: Tensor, end: Tensor, weight) -> Tensor:
    """input + weight (end - input), from the nearer end; the weight is a number or a tensor."""
    check_tensors("lerp", input, end)
    if not input.is_floating_point() or input.dtype != end.dtype:
        raise TypeError(f"lerp: one floating point dtype is needed; received {input.dtype} and {end.dtype}.")
    x, y = met(single(input), single(end))
    if isinstance(weight, Tensor):
        if weight.dtype != input.dtype:
            raise TypeError(f"lerp: the weight must have the dtype {input.dtype}; received {weight.dtype}.")
        x, share = met(x, single(weight))
        y, share = met(y, share)
        near = ops.abs(share) < 0.5
        return ops.where(near, x + share * (y - x), y - (y - x) * (1.0 - share)).astype(input.dtype)
    share = number(weight, x)
    if -0.5 < weight < 0.5:
        return (x + (y - x) * share).astype(input.dtype)
    return (y - (y - x) * (number(1.0, x) - share)).astype(input.dtype)  # a graph subtracts numbers in float32


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)), through float64: near 0 the float32 exponential is too coarse."""
    x, y = met(real(input).astype(ms.float64), real(other).astype(ms.float64))
    larger = maximum(x, y)
    infinite = ops.isinf(larger)  # whose distance may be NaN
    distance = ops.where(infinite, ops.zeros_like(larger), x) - ops.where(infinite, ops.zeros_like(larger), y)
    return ops.where(infinite, larger, larger + log1p(ops.exp(-ops.abs(distance)))).astype(input.dtype)


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
        return ops.logical_or(input, other) if input.dtype == ms.bool_ else input + other
    if input.dtype == ms.bool_:
        return ops.logical_or(input, other)
    return _with_nan(input, other, ops.maximum(input, other))


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller; NaN spreads, empty tensors are allowed."""
    input, other = promoted(input, other)
    if 0 in input.shape or 0 in other.shape:
        return ops.logical_and(input, other) if input.dtype == ms.bool_ else input + other
    if input.dtype == ms.bool_:
        return ops.logical_and(input, other)
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
    check_tensors("rsub", input)
    input, other = promoted(input, other)
    return other - input * number(alpha, input)


def xlogy(input: Tensor, other) -> Tensor:
    """input log(other), 0 where input is 0."""
    input, other = promoted(input, other)
    x = floating(input)
    x, y = met(x, floating(_like(number(other, x), x)))
    nothing = ops.logical_and(
        x == 0, ops.logical_or(y <= 0, y == float("inf"))
    )  # elsewhere 0 log(y) is 0 by itself, and its slope log(y)
    return ops.where(nothing, ops.zeros_like(x), level(x, nothing) * log(y))
