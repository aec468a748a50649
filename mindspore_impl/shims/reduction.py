"""Reductions, cumulative functions and statistics."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.arithmetic import logaddexp, maximum, minimum
from mindspore_impl.shims.checks import check_values
from mindspore_impl.shims.indexing import added_at, argsort
from mindspore_impl.shims.pointwise import fine, floating, number, root, single

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "bincount", "count_nonzero", "cov", "cummax",
    "cummin", "cumprod", "cumsum", "diff", "dist", "histc", "logcumsumexp", "logsumexp", "max", "mean",
    "median", "min", "nanmean", "nansum", "norm", "prod", "quantile", "std", "std_mean", "sum", "trace",
    "var", "var_mean",
]  # fmt: skip

_NAN, _INF, _LARGEST = float("nan"), float("inf"), 1.7976931348623157e308


_MANY = 4096  #: the kernels add up float32 numbers one after the other where they do not stand side by side


def _larger(a: int, b: int) -> int:
    return a if a > b else b  # max is another function here


@ops.constexpr
def _named(ndim: int, dim) -> tuple[int, ...]:
    """The axes that ``dim`` names, from 0; all of them for None and for none."""
    if dim is None or tuple(dim if isinstance(dim, tuple | list) else (dim,)) == ():
        return tuple(range(ndim))
    return tuple(axis % (ndim or 1) for axis in ((dim,) if isinstance(dim, int) else dim))


@ops.constexpr
def _counted(shape: tuple[int, ...], dim) -> int:
    """How many elements enter one result; a constant, which a graph's own arithmetic of sizes is not."""
    return math.prod(shape[axis] for axis in _named(len(shape), dim)) if shape else 1


@ops.constexpr
def _left(shape: tuple[int, ...], dim, keepdim: bool) -> tuple[int, ...]:
    axes = _named(len(shape), dim)
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape) if keepdim or axis not in axes)


def _axes(input: Tensor, dim) -> tuple[int, ...]:
    return _named(input.ndim, dim)


def _count_of(input: Tensor, dim) -> int:
    return _counted(input.shape, dim)


def _reduced_shape(input: Tensor, dim, keepdim: bool) -> tuple[int, ...]:
    return _left(input.shape, dim, keepdim)


def total(input: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Sum in the dtype of ``input``: 0 for nothing, where the kernel returns what happens to be in memory. float16 is added up in float32, as torch does,
    and many numbers that do not stand side by side in float64."""
    if 0 in input.shape:
        return ops.zeros(_reduced_shape(input, dim, keepdim), input.dtype)
    x = single(input)
    if x.dtype == ms.float32 and dim is not None and _count_of(x, dim) > _MANY:
        x = fine(x)
    if not x.ndim:
        return input
    return (mint.sum(x) if dim is None and not keepdim else mint.sum(x, _axes(x, dim), keepdim)).astype(input.dtype)


def _extremes(input: Tensor, dim, keepdim: bool, largest: bool) -> Tensor:
    """Largest or smallest over axes; NaN where one of the elements is, which the kernel takes for any number."""
    if input.dtype == ms.bool_:
        return any(input, dim, keepdim) if largest else all(input, dim, keepdim)
    if not input.ndim:
        return input
    if _count_of(input, dim) == 0:
        raise ValueError("amax and amin: there is no largest and smallest of nothing.")
    if 0 in input.shape:
        return ops.zeros(_reduced_shape(input, dim, keepdim), input.dtype)
    x, axes = input, _axes(input, dim)
    if x.dtype in (ms.uint8, ms.int8, ms.int16):
        x = x.astype(ms.int32)
    found = (mint.amax if largest else mint.amin)(x, axes, keepdim).astype(input.dtype)
    if not input.is_floating_point():
        return found
    missing = mint.sum(ops.isnan(input).astype(ms.float32), axes, keepdim) > 0
    return ops.where(missing, ops.full_like(found, _NAN), found)


def amax(input: Tensor, dim=(), keepdim: bool = False) -> Tensor:
    """Largest over axes, of which equals share the gradient; NaN spreads."""
    return _extremes(input, dim, keepdim, True)


def amin(input: Tensor, dim=(), keepdim: bool = False) -> Tensor:
    """Smallest over axes, of which equals share the gradient; NaN spreads."""
    return _extremes(input, dim, keepdim, False)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Smallest and largest; NaN spreads."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


def any(input: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Whether any is not 0; False for nothing. bool, of uint8 it is uint8."""
    return _truth(_count(input, dim, keepdim, ms.int64) > 0, input)


def all(input: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Whether none is 0; True for nothing. bool, of uint8 it is uint8."""
    return _truth(_count(input == 0, dim, keepdim, ms.int64) == 0, input)


def _truth(found: Tensor, input: Tensor) -> Tensor:
    return found.astype(ms.uint8) if input.dtype == ms.uint8 else found


def _count(input: Tensor, dim, keepdim: bool, dtype) -> Tensor:
    return sum((input if input.dtype == ms.bool_ else input != 0).astype(dtype), dim, keepdim)


def sum(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Sum; 0 for nothing, where the kernel returns what happens to be in memory."""
    wanted = dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64
    return total(input.astype(wanted), dim, keepdim)


def count_nonzero(input: Tensor, dim=None) -> Tensor:
    """How many are not 0, int64."""
    return _count(input, dim, False, ms.int64)


def _place(input: Tensor, dim: int, keepdim: bool, largest: bool) -> Tensor:
    """Index of the first largest or smallest along ``dim``, or of the first NaN, int64."""
    found = ops.argmax(input, dim, keepdim) if largest else ops.argmin(input, dim, keepdim)
    found = found.astype(ms.int64)
    if not input.is_floating_point():
        return found
    nans = ops.isnan(input).astype(ms.float32)
    return ops.where(mint.sum(nans, dim, keepdim) > 0, ops.argmax(nans, dim, keepdim).astype(ms.int64), found)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the largest, of everything flattened without ``dim``."""
    return _place(ops.reshape(input, (-1,)), 0, False, True) if dim is None else _place(input, dim, keepdim, True)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the smallest, of everything flattened without ``dim``."""
    return _place(ops.reshape(input, (-1,)), 0, False, False) if dim is None else _place(input, dim, keepdim, False)


def _pick(input: Tensor, dim: int, keepdim: bool, index: Tensor) -> Tensor:
    """The elements at ``index``, which has kept its axis."""
    values = ops.gather_elements(input, dim, index)
    return values if keepdim else ops.squeeze(values, dim)


def _extreme(input: Tensor, dim, keepdim: bool, largest: bool):
    if isinstance(dim, Tensor):
        return maximum(input, dim) if largest else minimum(input, dim)
    if dim is None:
        value = mint.max(input) if largest else mint.min(input)
        return (
            value + mint.sum(ops.where(ops.isnan(input), input, ops.zeros_like(input)))
            if input.is_floating_point()
            else value
        )
    index = _place(input, dim, True, largest)
    return _pick(input, dim, keepdim, index), index if keepdim else ops.squeeze(index, dim)


def max(input: Tensor, dim=None, keepdim: bool = False):
    """The largest; (values, indices) along ``dim``; with a tensor in its place the larger of both."""
    return _extreme(input, dim, keepdim, True)


def min(input: Tensor, dim=None, keepdim: bool = False):
    """The smallest; (values, indices) along ``dim``; with a tensor in its place the smaller of both."""
    return _extreme(input, dim, keepdim, False)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """Counts as int64, or sums of weights. Its size depends on the values, so graphs cannot hold it."""
    if input.ndim != 1 or input.is_floating_point():
        raise ValueError("bincount: a vector of integers is needed.")
    if minlength < 0:
        raise ValueError(f"bincount: minlength must be at least 0; received {minlength}.")
    check_values("bincount", input, 0, _INF)
    if not input.size:
        return ops.zeros((minlength,), ms.int64)
    if weights is None:
        return ops.bincount(input, None, minlength).astype(ms.int64)
    exact = weights if weights.dtype == ms.float32 else weights.astype(ms.float64)
    size = _larger(minlength, int(input.max()) + 1)
    return added_at(ops.zeros((size,), exact.dtype), 0, input, exact)


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """Covariance of the rows, in their dtype."""
    for weights in (fweights, aweights):
        if weights is not None:
            check_values("cov", weights, 0, _INF)
            check_values("cov: the sum of the weights,", total(weights), 1e-300, _INF)
    if 0 in input.shape[-1:]:  # of no observations the kernel returns what happens to be in memory
        shape = (input.shape[0], input.shape[0]) if input.ndim == 2 else ()
        return ops.full(shape, math.nan, dtype=input.dtype if input.is_floating_point() else ms.float32)
    found = ops.cov(single(input), correction=correction, fweights=fweights, aweights=aweights)
    return found.astype(input.dtype) if input.is_floating_point() else found


def cummax(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Running largest and its index, the last of equals; the values are gathered, which has a gradient."""
    if not input.ndim:
        return input, ops.zeros((), ms.int64)
    index = ops.cummax(ops.stop_gradient(input), dim)[1].astype(ms.int64)
    return ops.gather_elements(input, dim, index), index


def cummin(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Running smallest and its index."""
    if not input.ndim:
        return input, ops.zeros((), ms.int64)
    fixed = ops.stop_gradient(input)
    if input.dtype == ms.uint8:
        fixed = fixed.astype(ms.int32)
    negative = -fixed if input.is_floating_point() else -1 - fixed  # which does not overflow
    index = ops.cummax(negative, dim)[1].astype(ms.int64)
    return ops.gather_elements(input, dim, index), index


def cumprod(input: Tensor, dim: int, *, dtype=None) -> Tensor:
    """Products of all so far, in log n rounds of products, so that the gradient holds where one of them is 0."""
    x = input.astype(dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64)
    size, step = x.shape[dim] if x.ndim else 1, 1
    while step < size:
        ones, earlier = ops.ones_like(ops.gather(x, ops.arange(step), dim)), ops.gather(x, ops.arange(size - step), dim)
        x = x * ops.concat([ones, earlier], dim)
        step = step * 2
    return x


def cumsum(input: Tensor, dim: int, *, dtype=None) -> Tensor:
    """Running sum; int64 for whole numbers and booleans."""
    wanted = dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64
    converted = input.astype(wanted)
    if input.ndim == 0 or 0 in input.shape:
        return converted
    x = single(converted)
    if x.dtype == ms.float32 and x.shape[dim] > _MANY:
        x = fine(x)
    return ops.cumsum(x, dim).astype(wanted)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sum of exponentials, in log n rounds of `logaddexp`: the kernel takes NaN and infinities for numbers."""
    x = fine(input)
    size, step = x.shape[dim] if x.ndim else 1, 1
    while step < size:
        first, rest = ops.gather(x, ops.arange(step), dim), ops.gather(x, ops.arange(step, size), dim)
        x = ops.concat([first, logaddexp(rest, ops.gather(x, ops.arange(size - step), dim))], dim)
        step = step * 2
    return x.astype(input.dtype)


def mean(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Mean; NaN for nothing."""
    x = input if dtype is None else input.astype(dtype)
    if not x.is_floating_point():
        raise TypeError(f"mean: a floating point dtype is needed; received {x.dtype}. Give dtype.")
    return _mean(x, dim, keepdim)


def _mean(x: Tensor, dim, keepdim: bool) -> Tensor:
    count = _count_of(x, dim)
    if 0 in x.shape:
        return ops.full(_reduced_shape(x, dim, keepdim), _NAN if count == 0 else 0.0, dtype=x.dtype)
    if not x.ndim:
        return x
    y = single(x)
    if y.dtype == ms.float32 and dim is not None and count > _MANY:
        y = fine(y)
    return mint.mean(y, _axes(x, dim), keepdim).astype(x.dtype)


def nanmean(input: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Mean of what is not NaN."""
    x = single(input)
    valid = ops.logical_not(ops.isnan(x)).astype(x.dtype)
    kept = ops.where(ops.isnan(x), ops.zeros_like(x), x)
    return (total(kept, dim, keepdim) / total(valid, dim, keepdim)).astype(input.dtype)


def logsumexp(input: Tensor, dim, keepdim: bool = False) -> Tensor:
    """log of the sum of exponentials; of nothing but -inf it is -inf."""
    x = floating(input)
    if not x.ndim:
        return x
    if 0 in x.shape:
        return ops.full(_reduced_shape(x, dim, keepdim), -_INF, dtype=x.dtype)
    y, axes = fine(x), _axes(x, dim)
    largest = ops.stop_gradient(mint.amax(y, axes, True))
    largest = ops.where(ops.isfinite(largest), largest, ops.zeros_like(largest))
    found = ops.log(mint.sum(ops.exp(y - largest), axes, keepdim))
    return (found + ops.reshape(largest, found.shape)).astype(x.dtype)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False):
    """The lower of the middle values; (values, indices) along ``dim``. NaN spreads."""
    if dim is None:
        flat = ops.reshape(input, (-1,))
        value = _median(flat, 0, False)[0]
        equals = (flat == value).astype(input.dtype)
        even = (
            (flat * equals).sum() / ops.maximum(equals.sum(), 1) if input.is_floating_point() else value
        )  # equals share the gradient
        return ops.stop_gradient(value - even) + even
    return _median(input, dim, keepdim) if input.ndim else (input, ops.zeros((), ms.int64))


def _median(input: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    order = ops.sort(input, dim)[1].astype(ms.int64)
    index = mint.narrow(order, dim, (input.shape[dim] - 1) // 2, 1)
    if input.is_floating_point():
        nans = ops.isnan(input).astype(ms.float32)
        index = ops.where(mint.sum(nans, dim, True) > 0, ops.argmax(nans, dim, True).astype(ms.int64), index)
    return _pick(input, dim, keepdim, index), index if keepdim else ops.squeeze(index, dim)


def norm(input: Tensor, p="fro", dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """p-norm over everything or over ``dim``, for any p."""
    x = input if dtype is None else input.astype(dtype)
    if not x.is_floating_point():
        raise TypeError(f"norm: a floating point dtype is needed; received {x.dtype}. Give dtype.")
    if not isinstance(p, (int, float)) and p != "fro":
        raise ValueError(f"norm: p must be a number or fro; received {p}.")
    if p != "fro" and (p < 0 or p == _INF) and _count_of(x, dim) == 0:
        raise ValueError(f"norm: there is no norm of order {p} of nothing.")
    return _norm(single(x), p, dim, keepdim).astype(x.dtype)


def _norm(x: Tensor, p, axes, keepdim: bool) -> Tensor:
    if p == "fro" or p == 2:
        return root(total(x * x, axes, keepdim), 2)
    size = ops.abs(x)
    if p == _INF:
        return amax(size, axes, keepdim)
    if p == -_INF:
        return amin(size, axes, keepdim)
    if p == 0:
        return total((x != 0).astype(x.dtype), axes, keepdim)
    if p == 1:
        return total(size, axes, keepdim)
    power = number(p * 1.0, x)
    if p >= 1:
        return root(total(ops.pow(size, power), axes, keepdim), p)
    some = size != 0  # the slope of a power below 1 is infinite at 0, where torch's gradient is 0
    powers = ops.where(
        some, ops.pow(ops.where(some, size, ops.ones_like(size)), power), ops.full_like(size, 0.0 if p > 0 else _INF)
    )
    return root(total(powers, axes, keepdim), p)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Product; 1 for nothing, where the kernel returns what happens to be in memory."""
    wanted = dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64
    x = input.astype(wanted)
    if 0 in x.shape:
        return ops.ones(_reduced_shape(x, dim, keepdim), wanted)
    if not x.ndim:
        return x
    y = single(x)
    return (mint.prod(y) if dim is None else mint.prod(y, dim, keepdim)).astype(wanted)


def trace(input: Tensor) -> Tensor:
    """Sum of the diagonal of a matrix, int64 for whole numbers."""
    if input.ndim != 2:
        raise ValueError(f"trace: a matrix is needed; received {input.ndim} axes.")
    rows, columns = input.shape
    size = columns if columns < rows else rows
    if size == 0:
        return sum(ops.zeros((0,), input.dtype))
    return sum(ops.gather(ops.reshape(input, (-1,)), ops.arange(size) * (columns + 1), 0))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max], by default between the smallest and the largest.

    What lies outside is left out, NaN as well. In the dtype of ``input``.
    """
    if bins <= 0 or max < min:
        raise ValueError(f"histc: bins must be above 0 and max at least min; received {bins}, {min} and {max}.")
    if not input.is_floating_point():
        raise TypeError(f"histc: a floating point dtype is needed; received {input.dtype}.")
    x = ops.reshape(input, (-1,))
    if not input.size:
        return ops.zeros((bins,), input.dtype)
    low, high = ops.full((), min, dtype=x.dtype), ops.full((), max, dtype=x.dtype)
    if min == max:
        low, high = (amin(x), amax(x)) if min == 0 else (low, high)
        check_values("histc", low, -_LARGEST, _LARGEST)
        check_values("histc", high, -_LARGEST, _LARGEST)
        low, high = ops.where(low == high, low - 1, low), ops.where(low == high, high + 1, high)
    inside = ops.logical_and(x >= low, x <= high)
    place = ops.floor((ops.where(inside, x, low) - low) * bins / (high - low)).astype(ms.int64)
    place = ops.where(place >= bins, ops.full_like(place, bins - 1), place)
    counts = ops.zeros((bins,), ms.float32)
    return added_at(counts, 0, place, inside.astype(ms.float32)).astype(input.dtype)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """p-norm of input - other."""
    return norm(input - other, p)


def quantile(input: Tensor, q, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Linear interpolation between order statistics; one leading axis for a vector of q. NaN spreads."""
    check_values("quantile", q, 0.0, 1.0)
    if not input.size:
        raise ValueError("quantile: there is no quantile of nothing.")
    if dim is None:
        found = _quantile(ops.reshape(input, (-1,)), q, 0)
        shape = (1,) * input.ndim if keepdim else ()
    else:
        found = _quantile(input, q, dim)
        kept = list(input.shape)
        kept[dim] = 1
        shape = (
            tuple(kept)
            if keepdim
            else tuple([size for axis, size in enumerate(input.shape) if axis != dim % input.ndim])
        )
    return ops.reshape(found, (found.shape[0], *shape) if isinstance(q, Tensor) and q.ndim == 1 else shape)


def _quantile(input: Tensor, q, dim: int) -> Tensor:
    """``(quantiles, ...)``, without the axis."""
    last = input.shape[dim] - 1
    ordered = mint.transpose(ops.gather_elements(input, dim, argsort(input, dim)), dim, 0)  # (n, ...), ascending
    ordered = ops.where(ops.isnan(ordered[last]), ops.full_like(ordered, _NAN), ordered)  # NaN stands last
    places = ops.reshape(q if isinstance(q, Tensor) else ops.full((1,), q, dtype=input.dtype), (-1,)) * last
    low = ops.floor(places)
    lower = ops.gather(ordered, low.astype(ms.int32), 0)
    upper = ops.gather(ordered, ops.minimum(low + 1, ops.zeros_like(low) + last).astype(ms.int32), 0)
    found = lower + (upper - lower) * ops.reshape(places - low, (-1, *(1,) * (input.ndim - 1)))
    return found if input.ndim < 3 else mint.transpose(found, 1, dim % input.ndim) if dim % input.ndim > 1 else found


def diff(input: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """Differences of neighbours, ``n`` times."""
    if n < 0 or not input.ndim:
        raise ValueError(f"diff: n must not be negative and an axis is needed; received {n} and {input.shape}.")
    for _ in range(n):
        size = input.shape[dim] - 1
        input = mint.narrow(input, dim, 1, size) - mint.narrow(input, dim, 0, size)
    return input


def nansum(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Sum in which NaN counts as 0."""
    kept = ops.where(ops.isnan(input), ops.zeros_like(input), input) if input.is_floating_point() else input
    return sum(kept, dim, keepdim, dtype=dtype)


def _spread(input: Tensor, dim, unbiased: bool | None, keepdim: bool, correction: int | None) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    if isinstance(dim, bool):  # var(input, unbiased)
        unbiased, dim = dim, None
    missing = correction if correction is not None else 0 if unbiased is False else 1
    x, count = single(input), _count_of(input, dim)
    mean, divisor = _mean(x, dim, keepdim).astype(input.dtype), count - missing if count > missing else 0
    if 0 in x.shape:
        return ops.full(mean.shape, _NAN if count == 0 else 0.0, dtype=input.dtype), mean
    centred = x - _mean(x, dim, True)
    squares = total(centred * centred, dim, keepdim)
    left = number(float(divisor), squares)
    if isinstance(missing, float) and squares.dtype == ms.float64:  # a graph takes the difference of numbers in float32
        left = ops.maximum(Tensor(float(count), ms.float64) - Tensor(missing, ms.float64), Tensor(0.0, ms.float64))
    return (squares / (ops.ones_like(squares) * left)).astype(input.dtype), mean


def var(
    input: Tensor, dim=None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> Tensor:
    """Variance, divided by n - 1 unless told otherwise."""
    return _spread(input, dim, unbiased, keepdim, correction)[0]


def std(
    input: Tensor, dim=None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> Tensor:
    """Standard deviation, of the variance divided by n - 1 unless told otherwise."""
    return root(var(input, dim, unbiased, keepdim, correction=correction), 2)


def var_mean(
    input: Tensor, dim=None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    return _spread(input, dim, unbiased, keepdim, correction)


def std_mean(
    input: Tensor, dim=None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    variance, centre = _spread(input, dim, unbiased, keepdim, correction)
    return root(variance, 2), centre
