"""Reductions, cumulative functions and statistics."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.arithmetic import maximum, minimum
from mindspore_impl.shims.pointwise import floating, number, root

__all__ = [
    "aminmax", "any", "argmax", "argmin", "bincount", "count_nonzero", "cummax", "cummin", "cumprod", "cumsum", "diff", "dist", "logcumsumexp", "logsumexp",
    "max", "mean", "median", "min", "nanmean", "nansum", "norm", "quantile", "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip

_NAN, _INF = float("nan"), float("inf")


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Smallest and largest."""
    axes = () if dim is None else dim
    return mint.amin(input, axes, keepdim), mint.amax(input, axes, keepdim)


def any(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Whether any is not 0; False for nothing."""
    return _count(input, dim, keepdim, ms.int64) > 0


def _count(input: Tensor, dim, keepdim: bool, dtype) -> Tensor:
    return sum((input if input.dtype == ms.bool_ else input != 0).astype(dtype), dim, keepdim)


def sum(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Sum; 0 for nothing, where the kernel returns what happens to be in memory."""
    wanted = dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64
    x = input.astype(wanted)
    if 0 in x.shape:  # a row of zeros added to nothing
        axes = tuple(range(x.ndim)) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
        x = ops.zeros(
            [
                (1 if size == 0 else size) if axis in axes or axis - x.ndim in axes else size
                for axis, size in enumerate(x.shape)
            ],
            wanted,
        )
    return mint.sum(x) if dim is None else mint.sum(x, dim, keepdim)


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
    counts = ops.bincount(input, weights, minlength)
    return counts.astype(ms.int64) if weights is None else counts


def cummax(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Running largest and its index, the last of equals; the values are gathered, which has a gradient."""
    index = ops.cummax(ops.stop_gradient(input), dim)[1].astype(ms.int64)
    return ops.gather_elements(input, dim, index), index


def cummin(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Running smallest and its index."""
    index = ops.cummax(-ops.stop_gradient(input), dim)[1].astype(ms.int64)
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
    return converted if input.ndim == 0 or 0 in input.shape else ops.cumsum(converted, dim)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sum of exponentials."""
    return ops.logcumsumexp(input, dim)


def mean(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Mean; NaN for nothing."""
    x = input if dtype is None else input.astype(dtype)
    if 0 in x.shape:
        return (mint.sum(x) if dim is None else mint.sum(x, dim, keepdim)) * _NAN
    return mint.mean(x) if dim is None else mint.mean(x, dim, keepdim)


def nanmean(input: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Mean of what is not NaN."""
    valid = ops.logical_not(ops.isnan(input)).astype(input.dtype)
    kept = ops.where(ops.isnan(input), ops.zeros_like(input), input)
    return (
        mint.sum(kept) / mint.sum(valid)
        if dim is None
        else mint.sum(kept, dim, keepdim) / mint.sum(valid, dim, keepdim)
    )


def logsumexp(input: Tensor, dim, keepdim: bool = False) -> Tensor:
    """log of the sum of exponentials; of nothing but -inf it is -inf."""
    x = floating(input)
    largest = ops.stop_gradient(mint.amax(x, dim, True))
    largest = ops.where(ops.isfinite(largest), largest, ops.zeros_like(largest))
    total = ops.log(mint.sum(ops.exp(x - largest), dim, keepdim))
    return total + ops.reshape(largest, total.shape)


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
    return _median(input, dim, keepdim)


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
    axes = tuple(range(x.ndim)) if dim is None else dim
    if p == "fro" or p == 2:
        return root(mint.sum(x * x, axes, keepdim), 2)
    size = ops.abs(x)
    if p == _INF:
        return mint.amax(size, axes, keepdim)
    if p == -_INF:
        return mint.amin(size, axes, keepdim)
    if p == 0:
        return mint.sum((x != 0).astype(x.dtype), axes, keepdim)
    if p == 1:
        return mint.sum(size, axes, keepdim)
    power = number(p * 1.0, x)
    if p >= 1:
        return root(mint.sum(ops.pow(size, power), axes, keepdim), p)
    some = size != 0  # the slope of a power below 1 is infinite at 0, where torch's gradient is 0
    powers = ops.where(
        some, ops.pow(ops.where(some, size, ops.ones_like(size)), power), ops.full_like(size, 0.0 if p > 0 else _INF)
    )
    return root(mint.sum(powers, axes, keepdim), p)


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """p-norm of input - other."""
    return norm(input - other, p)


def quantile(input: Tensor, q, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Linear interpolation between order statistics; one leading axis for a vector of q."""
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
    ordered = mint.transpose(
        ops.gather_elements(input, dim, ops.sort(input, dim)[1].astype(ms.int64)), dim, 0
    )  # (n, ...), ascending
    places = ops.reshape(q if isinstance(q, Tensor) else ops.zeros((1,), input.dtype) + q, (-1,)) * last
    low = ops.floor(places)
    lower = ops.gather(ordered, low.astype(ms.int32), 0)
    upper = ops.gather(ordered, ops.minimum(low + 1, ops.zeros_like(low) + last).astype(ms.int32), 0)
    found = lower + (upper - lower) * ops.reshape(places - low, (-1, *(1,) * (input.ndim - 1)))
    return found if input.ndim < 3 else mint.transpose(found, 1, dim % input.ndim) if dim % input.ndim > 1 else found


def diff(input: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """Differences of neighbours, ``n`` times."""
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
    divisor_loss = correction if correction is not None else 0 if unbiased is False else 1
    axes = tuple(range(input.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    count = math.prod([input.shape[axis] for axis in axes])
    kept = mint.mean(input, axes, True)
    centred = input - kept
    return mint.sum(centred * centred, axes, keepdim) / (count - divisor_loss), mint.mean(input, axes, keepdim)


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
