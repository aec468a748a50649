"""Complex numbers. MindSpore's product of two has no gradient, and its absolute value is a complex number, so both are
taken by parts."""

from __future__ import annotations

import builtins
import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_tensors
from mindspore_impl.shims.pointwise import broadcast_shape, level
from mindspore_impl.shims.shape import part

__all__ = [
    "absolute",
    "angle",
    "as_complex",
    "complex",
    "conj",
    "imag",
    "isreal",
    "joined",
    "parts",
    "polar",
    "product",
    "quotient",
    "real",
    "resolved",
    "sgn",
    "sum_of",
    "view_as_complex",
    "view_as_real",
]

_KNOWN = (ms.float32, ms.float64)


def _re(input: Tensor) -> Tensor:
    """Real part. In a graph the kernel reads a transposed tensor as it lies in memory, and has nothing of nothing."""
    if 0 in input.shape:
        return ops.zeros(input.shape, ms.float64 if input.dtype == ms.complex128 else ms.float32)
    return ops.real(input.contiguous())


def _im(input: Tensor) -> Tensor:
    if 0 in input.shape:
        return ops.zeros(input.shape, ms.float64 if input.dtype == ms.complex128 else ms.float32)
    return ops.imag(input.contiguous())


def parts(input: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of complex numbers."""
    return _re(input), _im(input)


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, of two float32 or float64 tensors of one dtype."""
    check_tensors("complex", real, imag)
    if real.dtype != imag.dtype or real.dtype not in _KNOWN:
        raise TypeError(f"complex: float32 or float64 for both parts is needed; received {real.dtype}, {imag.dtype}.")
    return joined(*_alike(real, imag))


def _alike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    if first.shape == second.shape:
        return first, second
    shape = broadcast_shape(first.shape, second.shape)
    return mint.broadcast_to(first, shape), mint.broadcast_to(second, shape)


def joined(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, of one shape and dtype."""
    if 0 in real.shape:
        return ops.zeros(real.shape, ms.complex128 if real.dtype == ms.float64 else ms.complex64)
    return ops.Complex()(real.contiguous(), imag.contiguous())


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs (cos angle + i sin angle)."""
    check_tensors("polar", abs, angle)
    if abs.dtype != angle.dtype or abs.dtype not in _KNOWN:
        raise TypeError(f"polar: float32 or float64 for both is needed; received {abs.dtype} and {angle.dtype}.")
    return joined(*_alike(abs * ops.cos(angle), abs * ops.sin(angle)))


def as_complex(input: Tensor) -> Tensor:
    """``input``, or the complex numbers of real ones."""
    if input.is_complex():
        return input
    x = input if input.dtype in _KNOWN else input.astype(ms.float32)
    return joined(x, ops.zeros_like(x))


def real(input: Tensor) -> Tensor:
    """Real part; real numbers as they are."""
    return _re(input) if input.is_complex() else input


def imag(input: Tensor) -> Tensor:
    """Imaginary part of complex numbers."""
    if not input.is_complex():
        raise RuntimeError(f"imag: complex numbers are needed; received {input.dtype}.")
    return _im(input)


def conj(input: Tensor) -> Tensor:
    """Complex conjugate; real numbers as they are."""
    return joined(_re(input), -_im(input)) if input.is_complex() else input


def resolved(input: Tensor) -> Tensor:
    """``input``: no conjugate and no sign is kept aside here."""
    return input


def view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary part along a last axis of their own; a copy."""
    if not input.is_complex():
        raise RuntimeError(f"view_as_real: complex numbers are needed; received {input.dtype}.")
    return ops.stack((_re(input), _im(input)), -1)


def view_as_complex(input: Tensor) -> Tensor:
    """Complex numbers of the pairs along the last axis; a copy."""
    if input.ndim == 0 or input.shape[-1] != 2 or input.dtype not in _KNOWN:
        raise RuntimeError(
            "view_as_complex: float32 or float64 with a last axis of 2 is needed; "
            f"received {input.dtype} {input.shape}."
        )
    real, imag = [ops.reshape(part(input, -1, place, 1), input.shape[:-1]) for place in (0, 1)]
    return joined(real, imag)


def absolute(input: Tensor) -> Tensor:
    """Absolute value, a real number; its gradient at 0 is 0."""
    if not input.is_complex():
        return ops.abs(input)
    a, b = _re(input), _im(input)
    x, y = ops.abs(a), ops.abs(b)
    large, small = ops.maximum(x, y), ops.minimum(x, y)
    unit = ops.stop_gradient(ops.where(ops.logical_and(ops.isfinite(large), large > 0), large, ops.ones_like(large)))
    share = (a / unit) * (a / unit) + (b / unit) * (b / unit)
    nothing = share == 0
    found = ops.sqrt(ops.where(nothing, ops.ones_like(share), share)) * unit
    found = ops.where(nothing, ops.zeros_like(found), found)
    infinite = ops.logical_or(ops.isinf(a), ops.isinf(b))
    return ops.where(infinite, ops.full_like(found, math.inf), found + ops.zeros_like(small))


def angle(input: Tensor) -> Tensor:
    """Of complex numbers the angle in (-pi, pi], its gradient 0 at 0; of negative real ones pi."""
    if input.is_complex():
        a, b = _re(input), _im(input)
        origin = ops.logical_and(a == 0, b == 0)
        fixed = ops.stop_gradient(ops.atan2(b, a))
        return ops.where(origin, fixed, ops.atan2(b, ops.where(origin, ops.ones_like(a), a)))
    x = input if input.is_floating_point() else input.astype(ms.float32)
    x = ops.stop_gradient(x)
    turned = ops.where(x < 0, ops.zeros_like(x) + Tensor(math.pi, x.dtype), ops.zeros_like(x))
    return ops.where(ops.isnan(x), x, turned)


def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part is 0."""
    return _im(input) == 0 if input.is_complex() else ops.ones_like(input).astype(ms.bool_)


def sgn(input: Tensor) -> Tensor:
    """input / |input|, 0 at 0; the sign of real numbers."""
    if not input.is_complex():
        return input.copy() if input.dtype == ms.bool_ else ops.sign(input)
    size = absolute(input)
    nothing = size == 0
    divisor = ops.where(nothing, ops.ones_like(size), size)
    return joined(level(_re(input), nothing) / divisor, level(_im(input), nothing) / divisor)


def product(first, second) -> Tensor:
    """Product of two of which one is complex, with a gradient, which the kernel's has not."""
    (a, b), (c, d) = _pairs(first, second)
    if b is None:
        return _result(first, second, *_alike(a * c, a * d))
    if d is None:
        return _result(first, second, *_alike(a * c, b * c))
    return _result(first, second, a * c - b * d, a * d + b * c)


def quotient(first, second, rounding_mode: str | None = None) -> Tensor:
    """Quotient of two of which one is complex, by Smith's method, which does not overflow where the result does not."""
    if rounding_mode is not None:
        raise RuntimeError("div: complex numbers are not rounded.")
    (a, b), (c, d) = _pairs(first, second)
    if d is None:
        return _result(first, second, *_alike(a / c, b / c))
    turned = ops.stop_gradient(ops.abs(c) < ops.abs(d))
    large, small = ops.where(turned, d, c), ops.where(turned, c, d)
    ratio = small / large
    divisor = large + small * ratio
    b = ops.zeros_like(a) if b is None else b
    real = ops.where(turned, a * ratio + b, a + b * ratio)
    imag = ops.where(turned, b * ratio - a, b - a * ratio)
    return _result(first, second, real / divisor, imag / divisor)


def sum_of(first, second, alpha) -> Tensor:
    """first + alpha second, of which one is complex."""
    if isinstance(alpha, Tensor) or alpha != 1:
        second = product(as_complex(second), alpha) if isinstance(second, Tensor) else second * alpha
    (a, b), (c, d) = _pairs(first, second)
    real = a + c
    imag = d if b is None else b if d is None else b + d
    return _result(first, second, *_alike(real, imag + ops.zeros_like(real)))


def _pairs(first, second) -> tuple[tuple, tuple]:
    """Real and imaginary parts of both, in float64 where one of them is; None where there is no imaginary one."""
    wide = ms.float64 if _wide(first, second, True) else ms.float32
    found = []
    for value in (first, second):
        real, imag = _parts(value)
        found.append((_as(real, wide), None if imag is None else _as(imag, wide)))
    return found[0], found[1]


def _result(first, second, real: Tensor, imag: Tensor) -> Tensor:
    """The complex number of both parts in the dtype that torch chooses."""
    dtype = ms.float64 if _wide(first, second) else ms.float32
    return joined(real.astype(dtype), imag.astype(dtype))


def _as(part, dtype) -> Tensor:
    return part.astype(dtype) if isinstance(part, Tensor) else Tensor(part * 1.0, dtype)


def _wide(first, second, any_shape: bool = False) -> bool:
    """Whether the parts are float64: a tensor without axes beside one with axes does not count, unless ``any_shape``."""
    known = [value for value in (first, second) if isinstance(value, Tensor)]
    axes = max([value.ndim for value in known])
    counted = [value for value in known if value.is_complex() or value.is_floating_point()]
    doubles = [value for value in counted if value.dtype in (ms.float64, ms.complex128)]
    wide = [v for v in doubles if any_shape or v.ndim > 0 or axes == 0 or not _outranked(v, known)]
    return len(wide) > 0


def _outranked(value: Tensor, known: list[Tensor]) -> bool:
    """Whether another one has axes and is of no lower kind."""
    others = [other for other in known if other.ndim > 0]
    return len([other for other in others if other.is_complex() or not value.is_complex()]) > 0


def _parts(value) -> tuple:
    """Real and imaginary part, the latter None where it is nowhere."""
    if isinstance(value, Tensor):
        return (_re(value), _im(value)) if value.is_complex() else (value, None)
    return value.real, value.imag if isinstance(value, builtins.complex) else None
