"""Statistics: variance, covariance, order statistics, histograms and distances."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_values
from mindspore_impl.shims.indexing import added_at, argsort
from mindspore_impl.shims.pointwise import number, root, single
from mindspore_impl.shims.reduction import (
    _INF,
    _NAN,
    _count_of,
    _larger,
    _mean,
    _pick,
    amax,
    amin,
    norm,
    total,
)

__all__ = ["bincount", "cov", "dist", "histc", "median", "quantile", "std", "std_mean", "var", "var_mean"]

_LARGEST = 1.7976931348623157e308


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


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max], where these are equal between the smallest
    and the largest.

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
        low, high = amin(x), amax(x)
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


def quantile(
    input: Tensor, q, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Between order statistics by ``interpolation``: linear, lower, higher, midpoint or nearest; one leading axis for a
    vector of q. NaN spreads."""
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ValueError(
            f"quantile: interpolation must be linear, lower, higher, midpoint or nearest; received {interpolation}."
        )
    check_values("quantile", q, 0.0, 1.0)
    if not input.size:
        raise ValueError("quantile: there is no quantile of nothing.")
    if dim is None or not input.ndim:
        found = _quantile(ops.reshape(input, (-1,)), q, 0, interpolation)
        shape = (1,) * input.ndim if keepdim else ()
    else:
        found = _quantile(input, q, dim, interpolation)
        kept = list(input.shape)
        kept[dim] = 1
        shape = (
            tuple(kept)
            if keepdim
            else tuple([size for axis, size in enumerate(input.shape) if axis != dim % input.ndim])
        )
    return ops.reshape(found, (found.shape[0], *shape) if isinstance(q, Tensor) and q.ndim == 1 else shape)


def _quantile(input: Tensor, q, dim: int, interpolation: str) -> Tensor:
    """``(quantiles, ...)``, without the axis."""
    last = input.shape[dim] - 1
    ordered = mint.transpose(ops.gather_elements(input, dim, argsort(input, dim)), dim, 0)  # (n, ...), ascending
    ordered = ops.where(ops.isnan(ordered[last]), ops.full_like(ordered, _NAN), ordered)  # NaN stands last
    places = ops.reshape(q if isinstance(q, Tensor) else ops.ones((1,), input.dtype) * number(q, input), (-1,)) * last
    if interpolation == "lower":
        places = ops.floor(places)
    elif interpolation == "higher":
        places = ops.ceil(places)
    elif interpolation == "nearest":
        places = ops.round(places)
    low = ops.floor(places)
    lower = ops.gather(ordered, low.astype(ms.int32), 0)
    upper = ops.gather(ordered, ops.minimum(low + 1, ops.zeros_like(low) + last).astype(ms.int32), 0)
    share = (places > low).astype(low.dtype) * 0.5 if interpolation == "midpoint" else places - low
    found = lower + (upper - lower) * ops.reshape(share, (-1, *(1,) * (input.ndim - 1)))
    return found if input.ndim < 3 else mint.transpose(found, 1, dim % input.ndim) if dim % input.ndim > 1 else found


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
    """Variance, divided by n - 1 by default."""
    return _spread(input, dim, unbiased, keepdim, correction)[0]


def std(
    input: Tensor, dim=None, unbiased: bool | None = None, keepdim: bool = False, *, correction: int | None = None
) -> Tensor:
    """Standard deviation, of the variance divided by n - 1 by default."""
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
