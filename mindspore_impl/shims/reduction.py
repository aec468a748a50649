"""Reductions over axes."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.arithmetic import maximum, minimum
from mindspore_impl.shims.checks import axis_of
from mindspore_impl.shims.pointwise import fine, floating, number, root, single

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean", "min", "nanmean", "nansum", "norm", "prod",
    "sum", "trace",
]  # fmt: skip

_NAN, _INF = float("nan"), float("inf")
_MANY = 4096  #: the kernels add up float32 numbers one after the other where they do not stand side by side


def _larger(a: int, b: int) -> int:
    return a if a > b else b  # max is another function here


@ops.constexpr
def _named(ndim: int, dim) -> tuple[int, ...]:
    """The axes that ``dim`` names, from 0; all of them for None and for none."""
    if dim is None or tuple(dim if isinstance(dim, tuple | list) else (dim,)) == ():
        return tuple(range(ndim))
    return tuple(axis_of("a reduction", ndim, axis) for axis in ((dim,) if isinstance(dim, int) else dim))


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
    """Sum in the dtype of ``input``: 0 for nothing, where the kernel returns what happens to be in memory. float16 is
    added up in float32, as torch does, and many numbers that do not stand side by side in float64."""
    if 0 in input.shape:
        return ops.zeros(_reduced_shape(input, dim, keepdim), input.dtype)
    x = input if input.is_complex() else single(input)
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
    kept = input.is_floating_point() or input.is_complex()
    wanted = dtype if dtype is not None else input.dtype if kept else ms.int64
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
    if input.dtype == ms.bool_ and not isinstance(dim, Tensor):
        found = _extreme(input.astype(ms.int32), dim, keepdim, largest)
        return found.astype(ms.bool_) if dim is None else (found[0].astype(ms.bool_), found[1])
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


def nansum(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Sum in which NaN counts as 0."""
    kept = ops.where(ops.isnan(input), ops.zeros_like(input), input) if input.is_floating_point() else input
    return sum(kept, dim, keepdim, dtype=dtype)
