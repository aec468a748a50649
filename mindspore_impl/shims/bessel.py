"""Functions of `torch.special` that no other module holds, computed in float64 where the device has it."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.checks import check_tensors
from mindspore_impl.shims.pointwise import digamma, fine, floating, level, lgamma, log, log1p, number, promoted

__all__ = [
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "entr",
    "erfcx",
    "gammainc",
    "gammaincc",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log_ndtr",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "polygamma_",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "spherical_bessel_j0",
    "xlog1py",
    "zeta",
]
_ROOT_HALF, _ROOT_PI = math.sqrt(0.5), math.sqrt(math.pi)


def _constant(value: float, like: Tensor) -> Tensor:
    """Graphs round Python numbers to float32."""
    return Tensor(value, like.dtype)


def _whole(input: Tensor, kernel, outside: float | None = None) -> Tensor:
    """``kernel`` in float64, NaN where the input is, and ``outside`` at 0 or below where one is given."""
    x = floating(input)
    y = fine(x)
    bad = ops.isnan(y) if outside is None else ops.logical_not(y > 0)
    found = kernel(ops.where(bad, ops.ones_like(y), y))
    if outside is not None:
        found = ops.where(y == 0, ops.full_like(found, outside), found)
        bad = ops.logical_not(y >= 0)
    return ops.where(bad, ops.full_like(found, math.nan), found).astype(x.dtype)


def _single(name: str, *given: Tensor) -> None:
    """Refuse float64, for which the kernel is accurate to float32 only.

    Raises:
        TypeError: one of ``given`` is of float64.
    """
    for tensor in given:
        if tensor.dtype == ms.float64:
            raise TypeError(
                f"{name}: MindSpore's kernel is accurate to float32 only; received float64. Cast to float32."
            )


def _even(input: Tensor, kernel) -> Tensor:
    return _whole(ops.abs(floating(input)), kernel)


def _linear(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """``value`` with the derivative ``slope`` along x, both without gradients of their own."""
    slope = ops.stop_gradient(slope)
    change = x - ops.stop_gradient(x)
    usable = ops.logical_and(ops.isfinite(slope), ops.isfinite(change))
    product = ops.where(usable, change, ops.zeros_like(change)) * ops.where(usable, slope, ops.zeros_like(slope))
    return ops.stop_gradient(value) + product


def _i0e(y: Tensor) -> Tensor:
    return ops.bessel_i0e(ops.abs(y))


def _i1e(y: Tensor) -> Tensor:
    found = ops.bessel_i1e(ops.abs(y))
    return ops.where(y < 0, -found, found)


def i0e(input: Tensor) -> Tensor:
    """exp(-|x|) times the modified Bessel function of order 0."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    value = _i0e(fixed)
    return _linear(y, value, _i1e(fixed) - ops.sign(fixed) * value).astype(x.dtype)


def i0(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind of order 0."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    size = ops.exp(ops.abs(fixed))
    return _linear(y, _i0e(fixed) * size, _i1e(fixed) * size).astype(x.dtype)


def _slope_of_i1(y: Tensor, value: Tensor, base: Tensor) -> Tensor:
    """I0 - I1 / x, which is 1/2 at 0."""
    nothing = y == 0
    quotient = value / ops.where(nothing, ops.ones_like(y), y)
    return base - ops.where(nothing, base * 0.5, quotient)


def i1e(input: Tensor) -> Tensor:
    """exp(-|x|) times the modified Bessel function of order 1."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    value = _i1e(fixed)
    slope = _slope_of_i1(fixed, value, _i0e(fixed)) - ops.sign(fixed) * value
    return _linear(y, value, slope).astype(x.dtype)


def i1(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind of order 1."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    size = ops.exp(ops.abs(fixed))
    value = _i1e(fixed) * size
    return _linear(y, value, _slope_of_i1(fixed, value, _i0e(fixed) * size)).astype(x.dtype)


def modified_bessel_i0(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind of order 0."""
    return ops.stop_gradient(i0(input))


def modified_bessel_i1(input: Tensor) -> Tensor:
    """Modified Bessel function of the first kind of order 1."""
    return ops.stop_gradient(i1(input))


def modified_bessel_k0(input: Tensor) -> Tensor:
    """Modified Bessel function of the second kind of order 0; infinite at 0, NaN below."""
    return ops.stop_gradient(_whole(input, ops.bessel_k0, math.inf))


def modified_bessel_k1(input: Tensor) -> Tensor:
    """Modified Bessel function of the second kind of order 1; infinite at 0, NaN below."""
    return ops.stop_gradient(_whole(input, ops.bessel_k1, math.inf))


def scaled_modified_bessel_k0(x: Tensor) -> Tensor:
    """exp(x) times `modified_bessel_k0`."""
    return ops.stop_gradient(_whole(x, ops.bessel_k0e, math.inf))


def scaled_modified_bessel_k1(x: Tensor) -> Tensor:
    """exp(x) times `modified_bessel_k1`."""
    return ops.stop_gradient(_whole(x, ops.bessel_k1e, math.inf))


def bessel_j0(input: Tensor) -> Tensor:
    """Bessel function of the first kind of order 0."""
    _single("bessel_j0", input)
    return ops.stop_gradient(_even(input, ops.bessel_j0))


def bessel_j1(input: Tensor) -> Tensor:
    """Bessel function of the first kind of order 1."""
    _single("bessel_j1", input)
    x = floating(input)
    found = _even(x, ops.bessel_j1)
    return ops.stop_gradient(ops.where(x < 0, -found, found))


def bessel_y0(input: Tensor) -> Tensor:
    """Bessel function of the second kind of order 0; minus infinity at 0, NaN below."""
    _single("bessel_y0", input)
    return ops.stop_gradient(_whole(input, ops.bessel_y0, -math.inf))


def bessel_y1(input: Tensor) -> Tensor:
    """Bessel function of the second kind of order 1; minus infinity at 0, NaN below."""
    _single("bessel_y1", input)
    return ops.stop_gradient(_whole(input, ops.bessel_y1, -math.inf))


def spherical_bessel_j0(x: Tensor) -> Tensor:
    """sin(x) / x, 1 at 0 and 0 at the infinities."""
    y = floating(x)
    z = ops.stop_gradient(fine(y))
    small, infinite = ops.abs(z) < 1e-3, ops.isinf(z)
    inside = ops.where(ops.logical_or(small, infinite), ops.ones_like(z), z)
    near = 1.0 - z * z / 6.0 + z * z * z * z / 120.0
    found = ops.where(small, near, ops.sin(inside) / inside)
    return ops.where(infinite, ops.zeros_like(found), found).astype(y.dtype)


def entr(input: Tensor) -> Tensor:
    """-x log(x), 0 at 0, minus infinity below."""
    x = floating(input)
    some = x > 0
    inside = ops.where(some, x, ops.ones_like(x))
    found = -inside * log(inside)
    below = ops.full_like(x, -math.inf)
    found = ops.where(some, found, ops.where(x == 0, ops.zeros_like(x), below))
    return ops.where(ops.isnan(x), x, found)


def _erfcx(y: Tensor) -> Tensor:
    """exp(y^2) erfc(y), above 10 by its asymptotic series."""
    far = y > 10.0
    near = ops.where(far, ops.ones_like(y), y)
    first = ops.exp(near * near) * ops.erfc(near)
    z = ops.where(far, y, ops.full_like(y, 11.0))
    share = 0.5 / (z * z)
    total = ops.ones_like(z)
    for order in range(16, 0, -1):
        total = 1.0 - total * share * (2.0 * order - 1.0)
    return ops.where(far, total / (z * _constant(_ROOT_PI, z)), first)


def erfcx(input: Tensor) -> Tensor:
    """exp(x^2) erfc(x)."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    value = _erfcx(fixed)
    slope = fixed * value * 2.0 - _constant(2.0 / _ROOT_PI, fixed)
    return _linear(y, value, slope).astype(x.dtype)


def ndtr(input: Tensor) -> Tensor:
    """Distribution function of the standard normal distribution."""
    x = floating(input)
    y = fine(x)
    return (ops.erfc(-y * _constant(_ROOT_HALF, y)) * 0.5).astype(x.dtype)


def _log_ndtr(y: Tensor) -> Tensor:
    low = y < -1.0
    left = ops.where(low, y, ops.full_like(y, -1.0)) * _constant(-_ROOT_HALF, y)
    right = ops.where(low, ops.zeros_like(y), y) * _constant(_ROOT_HALF, y)
    return ops.where(low, ops.log(_erfcx(left) * 0.5) - left * left, log1p(ops.erfc(right) * -0.5))


def _hazard(y: Tensor) -> Tensor:
    """Density over distribution function, the derivative of `_log_ndtr`."""
    z = y * _constant(-_ROOT_HALF, y)
    low = y < 5.0
    near = ops.where(low, z, ops.zeros_like(z))
    scale = _constant(math.sqrt(2.0 / math.pi), y)
    above = ops.exp(-z * z) * scale / ops.erfc(ops.where(low, ops.zeros_like(z), z))
    return ops.where(low, scale / _erfcx(near), above)


def log_ndtr(input: Tensor) -> Tensor:
    """Logarithm of `ndtr`, accurate in its lower tail."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    return _linear(y, _log_ndtr(fixed), _hazard(fixed)).astype(x.dtype)


def ndtri(input: Tensor) -> Tensor:
    """Inverse of `ndtr`: infinite at 0 and 1, NaN outside."""
    x = floating(input)
    y = fine(x)
    fixed = ops.stop_gradient(y)
    upper = fixed > 0.5
    share = ops.where(upper, 1.0 - fixed, fixed)
    inside = ops.logical_and(share > 0, share <= 0.5)
    wanted = ops.log(ops.where(inside, share, ops.full_like(share, 0.5)))
    t = ops.sqrt(wanted * -2.0)
    root = (2.30753 + 0.27061 * t) / (1.0 + (0.99229 + 0.04481 * t) * t) - t
    for _ in range(5):
        root = root - (_log_ndtr(root) - wanted) / _hazard(root)
    root = ops.where(inside, root, ops.where(share == 0, ops.full_like(root, -math.inf), ops.full_like(root, math.nan)))
    root = ops.where(upper, -root, root)
    slope = ops.exp(root * root * 0.5) * _constant(math.sqrt(2.0 * math.pi), root)
    return _linear(y, root, slope).astype(x.dtype)


def xlog1py(input, other) -> Tensor:
    """input log(1 + other), 0 where input is 0 and other is a number."""
    if not isinstance(input, Tensor):
        check_tensors("xlog1py", other)
        input = ops.zeros_like(floating(other)) + number(input, floating(other))
    elif not isinstance(other, Tensor):
        other = ops.zeros_like(floating(input)) + number(other, floating(input))
    x, y = promoted(floating(input), floating(other))
    nothing = ops.logical_and(x == 0, ops.logical_or(y <= -1.0, y == math.inf))
    return ops.where(nothing, ops.zeros_like(x + y), level(x, nothing) * log1p(y))


def _hurwitz(x: Tensor, q: Tensor) -> Tensor:
    """The kernel, with torch's answers where there is none: infinite at x = 1 and at whole q below 1, else NaN."""
    x, q = x.astype(ms.float64), q.astype(ms.float64)
    usual = ops.logical_and(x > 1.0, q > 0)
    one = ops.ones_like(x)
    found = ops.zeta(ops.where(usual, x, one + 1.0), ops.where(usual, q, one))
    nan, infinite = ops.full_like(found, math.nan), ops.full_like(found, math.inf)
    poles = ops.logical_and(q <= 0, q == ops.floor(q))
    signed = ops.logical_and(ops.logical_and(q <= 0, ops.logical_not(poles)), x == ops.floor(x))
    below = ops.where(poles, infinite, ops.where(signed, ops.zeta(x, q), nan))
    rest = ops.where(x == 1.0, infinite, ops.where(x < 1.0, nan, below))
    rest = ops.where(ops.logical_or(ops.isnan(x), ops.isnan(q)), nan, rest)
    return ops.where(usual, found, rest)


def zeta(input, other) -> Tensor:
    """Hurwitz's zeta function of order ``input`` at ``other``; its gradient is that of the latter."""
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        raise TypeError("zeta: a tensor is needed.")
    x, q = promoted(_tensor(input, other), _tensor(other, input))
    if ops.stop_gradient(x).dtype not in (ms.float32, ms.float64):
        x, q = x.astype(ms.float32), q.astype(ms.float32)
    shape = (x + q).shape
    x, q = ops.broadcast_to(x, shape), ops.broadcast_to(q, shape)
    fixed, place = ops.stop_gradient(x), ops.stop_gradient(q)
    if 0 in shape:
        return x + q
    slope = -fixed.astype(ms.float64) * _hurwitz(fixed + 1.0, place)
    return _linear(q.astype(ms.float64), _hurwitz(fixed, place), slope).astype(x.dtype)


def _tensor(value, other) -> Tensor:
    if isinstance(value, Tensor):
        return floating(value)
    return ops.zeros_like(floating(other)) + number(value * 1.0, floating(other))


def polygamma_(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma, without a gradient of its own."""
    y = fine(floating(input))
    if n == 0:
        return digamma(y)
    left = ops.logical_and(y < 0.5, Tensor(n == 1, ms.bool_))
    z = ops.where(left, 1.0 - y, y)
    found = _hurwitz(ops.full_like(z, n + 1.0), z) * Tensor(math.factorial(n) * (-1.0) ** (n + 1), ms.float64)
    if n > 1:
        return found
    part = y - ops.round(y)
    sine = ops.sin(part * _constant(math.pi, y))
    turned = _constant(math.pi**2, y) / (sine * sine)
    return ops.where(left, turned - found, found)


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma."""
    if n < 0:
        raise ValueError(f"polygamma: n must be non-negative; received {n}.")
    x = floating(input)
    if n == 0:
        return digamma(x)
    if 0 in x.shape:
        return x
    y = fine(x)
    fixed = ops.stop_gradient(y)
    return _linear(y, polygamma_(n, fixed), polygamma_(n + 1, fixed)).astype(x.dtype)


def multigammaln(input: Tensor, p: int) -> Tensor:
    """Logarithm of the multivariate gamma function of dimension p."""
    if p < 1:
        raise ValueError(f"multigammaln: p must be positive; received {p}.")
    x = floating(input)
    total = ops.zeros_like(x) + number(p * (p - 1) * math.log(math.pi) / 4.0, x)
    for place in range(p):
        total = total + lgamma(x - number(place * 0.5, x))
    return total


def _incomplete(name: str, a: Tensor, x: Tensor, upper: bool) -> Tensor:
    check_tensors(name, a, x)
    if not a.is_floating_point() or not x.is_floating_point():
        raise TypeError(f"{name}: floating point numbers are needed; received {a.dtype} and {x.dtype}.")
    a, x = promoted(a, x)
    _single(name, a, x)
    shape = (a + x).shape
    if 0 in shape:
        return a + x
    a, x = ops.broadcast_to(a, shape), ops.broadcast_to(x, shape)
    order, place = ops.stop_gradient(a).astype(ms.float64), ops.stop_gradient(x).astype(ms.float64)
    value = ops.igammac(order, place) if upper else ops.igamma(order, place)
    slope = ops.exp((order - 1.0) * ops.log(place) - place - ops.lgamma(order))
    return _linear(x.astype(ms.float64), value, -slope if upper else slope).astype(x.dtype)


def gammainc(input: Tensor, other: Tensor) -> Tensor:
    """Regularised lower incomplete gamma function of order ``input``; its gradient is that of ``other``."""
    return _incomplete("gammainc", input, other, False)


def gammaincc(input: Tensor, other: Tensor) -> Tensor:
    """Regularised upper incomplete gamma function of order ``input``; its gradient is that of ``other``."""
    return _incomplete("gammaincc", input, other, True)


def _recurrence(name: str, input: Tensor, n: int, first, following) -> Tensor:
    """P_0 = 1, P_1 = ``first(x)`` and P_{k+1} = ``following(k, x, P_k, P_{k-1})``; 0 for a negative n."""
    if not isinstance(n, int):
        raise TypeError(f"{name}: a Python integer is needed for n; received {n}.")
    x = ops.stop_gradient(fine(floating(input)))
    before, found = ops.ones_like(x), first(x)
    for order in range(1, n):
        before, found = found, following(order, x, found, before)
    found = ops.zeros_like(x) if n < 0 else before if n == 0 else found
    return found.astype(floating(input).dtype)


def chebyshev_polynomial_t(input: Tensor, n: int) -> Tensor:
    """Chebyshev polynomial of the first kind."""
    return _recurrence("chebyshev_polynomial_t", input, n, lambda x: x, lambda k, x, p, q: 2.0 * x * p - q)


def chebyshev_polynomial_u(input: Tensor, n: int) -> Tensor:
    """Chebyshev polynomial of the second kind."""
    return _recurrence("chebyshev_polynomial_u", input, n, lambda x: 2.0 * x, lambda k, x, p, q: 2.0 * x * p - q)


def hermite_polynomial_h(input: Tensor, n: int) -> Tensor:
    """Hermite polynomial of physics."""
    return _recurrence(
        "hermite_polynomial_h", input, n, lambda x: 2.0 * x, lambda k, x, p, q: 2.0 * x * p - 2.0 * k * q
    )


def hermite_polynomial_he(input: Tensor, n: int) -> Tensor:
    """Hermite polynomial of probability theory."""
    return _recurrence("hermite_polynomial_he", input, n, lambda x: x, lambda k, x, p, q: x * p - k * q)


def laguerre_polynomial_l(input: Tensor, n: int) -> Tensor:
    """Laguerre polynomial."""
    return _recurrence(
        "laguerre_polynomial_l",
        input,
        n,
        lambda x: 1.0 - x,
        lambda k, x, p, q: ((2.0 * k + 1.0 - x) * p - k * q) / (k + 1.0),
    )


def legendre_polynomial_p(input: Tensor, n: int) -> Tensor:
    """Legendre polynomial."""
    return _recurrence(
        "legendre_polynomial_p", input, n, lambda x: x, lambda k, x, p, q: ((2.0 * k + 1.0) * x * p - k * q) / (k + 1.0)
    )
