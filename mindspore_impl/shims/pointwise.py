"""Elementwise functions of one tensor. Torch computes whole numbers as float32 here, MindSpore's kernels refuse
them."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_not",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "deg2rad",
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "expm1",
    "floating",
    "isinf",
    "isneginf",
    "isposinf",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "logit",
    "nan_to_num",
    "rad2deg",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "tan",
]  # fmt: skip

_ROOT_PI_HALF = 0.5 * math.sqrt(math.pi)
_DEGREE, _RADIAN = math.pi / 180.0, 180.0 / math.pi  # graphs divide Python numbers in float32
WIDEST = (ms.float64, ms.float32, ms.bfloat16, ms.float16, ms.int64, ms.int32, ms.int16, ms.int8, ms.uint8, ms.bool_)
_LARGEST = {
    ms.float16: 65504.0,
    ms.bfloat16: 3.3895313892515355e38,
    ms.float32: 3.4028234663852886e38,
    ms.float64: 1.7976931348623157e308,
}


def real(input: Tensor) -> Tensor:
    """``input``, if its numbers are real.

    Raises:
        TypeError: they are complex, of which a cast would drop the imaginary parts.
    """
    if input.is_complex():
        raise TypeError(
            f"Of complex numbers MindSpore has arithmetic, parts and torch.fft; received {input.dtype}. "
            "Compute with torch.view_as_real(x)."
        )
    return input


def floating(input: Tensor) -> Tensor:
    """``input``, or its float32 form if it holds whole numbers or booleans."""
    real(input)
    return input if input.is_floating_point() else input.astype(ms.float32)


#: The CPU's float32 kernels of exp, log, expm1, log1p and tanh are coarse; those of other devices are not, and not all of them have float64.
_FINE = ms.float64 if ms.get_context("device_target") == "CPU" else ms.float32


def fine(input: Tensor) -> Tensor:
    """In the dtype in which this device's library functions are accurate."""
    return real(input).astype(_FINE)


def single(input: Tensor) -> Tensor:
    """float16 and bfloat16 as float32, in which torch's own kernels compute them; any other dtype as it is."""
    real(input)
    return input.astype(ms.float32) if input.dtype in (ms.float16, ms.bfloat16) else input


def number(value, tensor: Tensor):
    """``value``, in float64 beside a float64 tensor: the framework rounds a Python number to float32 first."""
    return (
        Tensor(value, ms.float64)
        if isinstance(value, float) and isinstance(tensor, Tensor) and tensor.dtype == ms.float64
        else value
    )


def level(x: Tensor, where) -> Tensor:
    """``x``, which gets no gradient ``where`` torch's is 0 and the formula's undefined."""
    return (
        ops.where(where, ops.stop_gradient(x), x) if isinstance(where, Tensor) else ops.stop_gradient(x) if where else x
    )


def root(total: Tensor, p: float) -> Tensor:
    """total^(1/p), whose gradient at 0 is 0, as that of torch's norms and deviations; a root's own is infinite there,
    and NaN times what is within."""
    some = total != 0
    inside = ops.where(some, total, ops.ones_like(total))
    return ops.where(
        some, ops.sqrt(inside) if p == 2 else inside ** (number(1.0, total) / number(p * 1.0, total)), total
    )


def _kind(tensor: Tensor) -> int:
    return 2 if tensor.is_floating_point() else 0 if tensor.dtype == ms.bool_ else 1


@ops.constexpr
def broadcast_shape(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of both."""
    return tuple(np.broadcast_shapes(first, second))


def spread(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` in a shape that it broadcasts to. Where that is empty, the gradient is a sum of no numbers, for which
    MindSpore 2.10 returns what happens to be in memory (of float64, and of any dtype where the sum is one number); a
    product with a matrix of no rows has the gradient 0."""
    if x.shape == shape:
        return x
    if 0 not in shape or not x.is_floating_point():
        return mint.broadcast_to(x, shape)
    if 0 in x.shape:
        return ops.reshape(x, shape)
    column = ops.reshape(single(x), (-1, 1))
    return ops.reshape(mint.matmul(ops.zeros((0, x.size), column.dtype), column), shape).astype(x.dtype)


def met(first, second):
    """Both as they are, or in one shape where that is empty, see `spread`."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        one, other = first.shape, second.shape
        if one != other and (0 in one or 0 in other):
            shape = broadcast_shape(one, other)
            return spread(first, shape), spread(second, shape)
    return first, second


def promoted(first, second):
    """Both in one dtype as torch chooses it: a 0-d tensor beside one with axes counts only if it is of a higher kind.
    Numbers stay, see `number`."""
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return number(first, second), number(second, first)
    if first.dtype == second.dtype:
        return met(first, second)
    if first.is_complex() or second.is_complex():
        return _complex(first, second)
    wanted = [dtype for dtype in WIDEST if dtype in (first.dtype, second.dtype)][0]  # noqa: RUF015, graphs have no next()
    if (first.ndim == 0) != (second.ndim == 0):
        full, scalar = (second, first) if first.ndim == 0 else (first, second)
        wanted = full.dtype if _kind(full) >= _kind(scalar) else scalar.dtype
    return met(first.astype(wanted), second.astype(wanted))


def _complex(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Both as complex numbers, of float64 parts where one with axes has them."""
    wide = [x.ndim for x in (first, second) if x.dtype in (ms.complex128, ms.float64)]
    alone = first.ndim == second.ndim or max(first.ndim, second.ndim) == 0
    wanted = ms.complex128 if len(wide) > 0 and (alone or max(wide) > 0) else ms.complex64
    return first.astype(wanted), second.astype(wanted)


def _only_single(name: str, input: Tensor) -> None:
    if input.dtype == ms.float64:
        raise TypeError(
            f"MindSpore's {name} and its gradient are accurate to float32 only, whatever the dtype; received float64. Cast to float32."
        )


def acos(input: Tensor) -> Tensor:
    """Inverse cosine."""
    return ops.acos(floating(input))


def acosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine."""
    return ops.acosh(floating(input))


def asin(input: Tensor) -> Tensor:
    """Inverse sine."""
    return ops.asin(floating(input))


def asinh(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine."""
    return ops.asinh(floating(input))


def atan(input: Tensor) -> Tensor:
    """Inverse tangent."""
    return ops.atan(floating(input))


def atanh(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent."""
    return ops.atanh(floating(input))


def bitwise_not(input: Tensor) -> Tensor:
    """-1 - input; the negation of booleans."""
    return ops.logical_not(input) if input.dtype == ms.bool_ else -1 - input


def clamp(input: Tensor, min=None, max=None) -> Tensor:
    """Within [min, max], where NaN stays NaN and a bound that is NaN gives NaN; where they cross, max counts."""
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given.")
    clamped = input
    if min is not None:
        clamped = _bounded(clamped, clamped < number(min, clamped), min)
    if max is not None:
        clamped = _bounded(clamped, clamped > number(max, clamped), max)
    return clamped.astype(input.dtype) if isinstance(min, int) and isinstance(max, int) else clamped


def _bounded(x: Tensor, beyond: Tensor, bound) -> Tensor:
    """``bound`` where x is beyond it, and NaN where the bound is."""
    if isinstance(bound, Tensor):
        x, bound = met(x, bound)
        return ops.where(ops.logical_or(beyond, bound != bound), ops.zeros_like(x) + bound, x)
    if bound != bound:  # graphs take x + NaN for x
        return ops.full_like(floating(x), math.nan)
    return ops.where(beyond, ops.zeros_like(x) + number(bound, x), x)


def clamp_max(input: Tensor, max) -> Tensor:
    """At most ``max``."""
    return clamp(input, None, max)


def clamp_min(input: Tensor, min) -> Tensor:
    """At least ``min``."""
    return clamp(input, min, None)


def cos(input: Tensor) -> Tensor:
    """Cosine of radians."""
    return ops.cos(floating(input))


def cosh(input: Tensor) -> Tensor:
    """Hyperbolic cosine."""
    return ops.cosh(floating(input))


def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    x = floating(input)
    return x * Tensor(_DEGREE, x.dtype)


def digamma(input: Tensor) -> Tensor:
    """Derivative of lgamma, by reflection, ten steps of its recurrence and its asymptotic series: the kernel is
    accurate to float32 at best."""
    x = floating(input)
    y = fine(x)
    left = y < 0
    z, steps = ops.where(left, 1.0 - y, y), ops.zeros_like(y)
    for _ in range(10):
        low = z < 10
        steps, z = steps - ops.where(low, 1.0 / ops.where(low, z, ops.ones_like(z)), ops.zeros_like(z)), z + low
    found = ops.log(z) - 0.5 / z - _digamma_series(1.0 / (z * z)) + steps
    part = y - ops.stop_gradient(ops.round(y))  # of a period of the tangent
    pole = ops.logical_and(y <= 0, part == 0)
    turn = ops.where(ops.logical_and(left, part != 0), part, ops.full_like(y, 0.25)) * Tensor(math.pi, y.dtype)
    found = ops.where(left, found - Tensor(math.pi, y.dtype) / ops.tan(turn), found)
    beyond = ops.where(y == 0, -ops.reciprocal(y), ops.full_like(y, math.nan))
    return ops.where(pole, beyond, found).astype(x.dtype)


def _digamma_series(r: Tensor) -> Tensor:
    """r / 12 - r^2 / 120 + r^3 / 252 - r^4 / 240 + r^5 / 132 - 691 r^6 / 32760 + r^7 / 12."""
    found = r * (
        ops.ones_like(r) * 691.0 / 32760.0 - r / 12.0
    )  # quotients of whole numbers: the framework rounds a fraction to float32
    for divisor in (132.0, 240.0, 252.0, 120.0, 12.0):
        found = r * (ops.ones_like(r) / divisor - found)
    return found


def erf(input: Tensor) -> Tensor:
    """Error function."""
    return ops.erf(floating(input))


def erfc(input: Tensor) -> Tensor:
    """1 - erf, accurate in its tail."""
    return ops.erfc(floating(input))


def erfinv(input: Tensor) -> Tensor:
    """Inverse of erf by Halley's method, with erfc in the tails: the kernel is off by up to 36 % near 1.

    The last step is a Newton step, whose gradient is that of the inverse.
    """
    x = floating(input)
    y = fine(x)
    size = ops.abs(y)
    inside = size < 1.0
    size = ops.where(inside, size, ops.zeros_like(size))
    fixed = ops.stop_gradient(size)
    root = _erfinv_guess(fixed)
    for _ in range(4):
        step = _erfinv_step(root, fixed)
        root = root - step / (1.0 + root * step)
    found = ops.stop_gradient(root)
    found = found - _erfinv_step(found, size)
    beyond = ops.where(ops.abs(y) == 1.0, ops.full_like(size, math.inf), ops.full_like(size, math.nan))
    found = ops.where(inside, found, beyond)
    return ops.where(y < 0, -found, ops.where(y == 0, y * Tensor(_ROOT_PI_HALF, y.dtype), found)).astype(x.dtype)


def _erfinv_guess(y: Tensor) -> Tensor:
    """Within 0.2 % (Winitzki 2008)."""
    logarithm = ops.log((1.0 - y) * (1.0 + y))
    middle = logarithm * 0.5 + 4.33
    return ops.sqrt(ops.sqrt(middle * middle - logarithm * 6.8) - middle)


def _erfinv_step(root: Tensor, y: Tensor) -> Tensor:
    """Newton's step for erf(root) = y in [0, 1); 1 - y is exact for float32."""
    missing = ops.where(y < 0.5, ops.erf(root) - y, (1.0 - y) - ops.erfc(root))
    return missing * Tensor(_ROOT_PI_HALF, root.dtype) * ops.exp(root * root)


def exp(input: Tensor) -> Tensor:
    """Exponential."""
    return ops.exp(floating(input))


def expm1(input: Tensor) -> Tensor:
    """exp - 1 through float64: the float32 kernel subtracts and loses what is small."""
    x = floating(input)
    return ops.expm1(x.astype(ms.float64)).astype(x.dtype)


def isinf(input: Tensor) -> Tensor:
    """Whether infinite."""
    return ops.isinf(input) if input.is_floating_point() else ops.zeros_like(input).astype(ms.bool_)


def isneginf(input: Tensor) -> Tensor:
    """Whether minus infinity."""
    return ops.logical_and(isinf(input), input < 0)


def isposinf(input: Tensor) -> Tensor:
    """Whether plus infinity."""
    return ops.logical_and(isinf(input), input > 0)


def lgamma(input: Tensor) -> Tensor:
    """Logarithm of the absolute value of the gamma function."""
    _only_single("lgamma", input)
    return ops.lgamma(floating(input))


def log(input: Tensor) -> Tensor:
    """Natural logarithm through float64: the float32 kernel is off by 2e-5 near 1."""
    x = floating(input)
    return ops.log(fine(x)).astype(x.dtype)


def log10(input: Tensor) -> Tensor:
    """Decimal logarithm through float64."""
    x = floating(input)
    return ops.log10(fine(x)).astype(x.dtype)


def log1p(input: Tensor) -> Tensor:
    """log(1 + input), accurate near 0, where the kernels add 1 and lose what is small.

    The rounding of 1 + input is made up for by the factor input / ((1 + input) - 1) (Kahan), which is left out of the
    gradient.
    """
    x = floating(input)
    y = fine(x)
    total = y + 1.0
    usual = ops.logical_and(total > 0, ops.isfinite(total))
    fixed, rounded = ops.stop_gradient(y), ops.stop_gradient(total)
    least = ops.logical_or(rounded == 1.0, ops.logical_not(usual))
    near = ops.log(ops.where(usual, rounded, ops.ones_like(rounded)))
    scaled = near * fixed / ops.where(least, ops.ones_like(rounded), rounded - 1.0)
    missing = ops.where(rounded == 1.0, fixed, scaled) - near
    return (ops.log(total) + ops.where(usual, missing, ops.zeros_like(missing))).astype(x.dtype)


def log2(input: Tensor) -> Tensor:
    """Binary logarithm through float64."""
    x = floating(input)
    return ops.log2(fine(x)).astype(x.dtype)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), of x within [eps, 1 - eps] where an eps is given; NaN and a gradient of NaN outside [0, 1]
    else."""
    x = floating(input)
    domain = ops.where((x < 0) | (x > 1), ops.full_like(x, math.nan), ops.ones_like(x))
    x = x * domain if eps is None else clamp(x, eps, 1.0 - eps)
    middle = (x > 0.25) & (x < 0.75)  # where the logarithms cancel, but 2 x - 1 is exact
    inside = ops.where(middle, x, ops.full_like(x, 0.5))
    return ops.where(middle, log1p((2 * inside - 1) / (1 - inside)), log(x) - log1p(-x))


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Replaces NaN and infinities, by default with the dtype's largest values; whole numbers have none."""
    if not input.is_floating_point():
        return input.copy()
    largest = _LARGEST[input.dtype]
    high, low = largest if posinf is None else posinf, -largest if neginf is None else neginf
    finite = ops.where(ops.isnan(input), Tensor(nan, input.dtype), input)
    finite = ops.where(finite == float("inf"), Tensor(high, input.dtype), finite)
    return ops.where(finite == float("-inf"), Tensor(low, input.dtype), finite)


def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    x = floating(input)
    return x * Tensor(_RADIAN, x.dtype)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """To the nearest, halves to even, with ``decimals`` places."""
    if decimals == 0:
        return ops.round(input)
    factor = 10.0 ** abs(decimals)
    return ops.round(input * factor) / factor if decimals > 0 else ops.round(input / factor) * factor


def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input)."""
    return ops.rsqrt(floating(input))


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1; booleans stay."""
    return input.copy() if input.dtype == ms.bool_ else ops.sign(input)


def signbit(input: Tensor) -> Tensor:
    """Whether the sign bit is set, also that of -0 (whose angle is -pi)."""
    return input < 0 if not input.is_floating_point() else ops.atan2(input, ops.zeros_like(input) - 1.0) < 0


def sin(input: Tensor) -> Tensor:
    """Sine of radians."""
    return ops.sin(floating(input))


def sinc(input: Tensor) -> Tensor:
    """sin(pi input) / (pi input), 1 at 0; whole numbers and booleans become float32."""
    x = floating(input)
    pi = Tensor(math.pi, _FINE)
    y = fine(x) * pi if input.is_floating_point() else fine(x * Tensor(math.pi, x.dtype))  # as torch rounds them
    small = ops.abs(y) < 1e-4  # where the quotient's gradient cancels
    angle, rest = ops.where(small, ops.ones_like(y), y), ops.where(small, y, ops.zeros_like(y))
    return ops.where(small, 1.0 - rest * rest / 6.0, ops.sin(angle) / angle).astype(x.dtype)


def sinh(input: Tensor) -> Tensor:
    """Hyperbolic sine."""
    return ops.sinh(floating(input))


def tan(input: Tensor) -> Tensor:
    """Tangent of radians."""
    return ops.tan(floating(input))
