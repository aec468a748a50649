"""Values put at places: `torch.scatter_reduce`, `torch.index_put` and the functions that replace a part of a tensor."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import axis_of, check_indices
from mindspore_impl.shims.indexing import _cut, _flat_places, _picked, added_at, check_places, scatter
from mindspore_impl.shims.pointwise import broadcast_shape

__all__ = [
    "diagflat",
    "diagonal_scatter",
    "index_put",
    "put",
    "scatter_reduce",
    "select_scatter",
    "slice_scatter",
]


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``src`` at ``index`` along ``dim``, each place's values joined by sum, prod, mean, amax or amin."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"scatter_reduce: reduce must be sum, prod, mean, amax or amin; received {reduce}.")
    if input.dtype != src.dtype:
        raise TypeError(f"scatter_reduce: one dtype is needed; received {input.dtype} and {src.dtype}.")
    if input.dtype == ms.bool_:
        raise TypeError("scatter_reduce: booleans are not available; cast to a number.")
    check_indices("scatter_reduce", index, 0, input.shape[dim] if input.ndim else 1)
    check_places("scatter_reduce", input, dim, index, src)
    if not index.size:
        return input.copy()
    if not input.ndim:
        wide = [ops.reshape(part, (1,)) for part in (input, index, src)]
        return ops.reshape(scatter_reduce(wide[0], 0, wide[1], wide[2], reduce, include_self=include_self), ())
    part = _cut(src, index.shape)
    ones = ops.ones(index.shape, ms.int32)
    count = added_at(ops.zeros(input.shape, ms.int32), dim, index, ones)
    kept = ops.ones_like(count) > 0 if include_self else count == 0
    if reduce in ("sum", "mean"):
        total = added_at(ops.where(kept, input, ops.zeros_like(input)), dim, index, part)
        if reduce == "sum":
            return total
        divisor = ops.maximum(count + kept.astype(ms.int32), ops.ones_like(count))
        if input.is_floating_point():
            return total / divisor.astype(input.dtype)
        return ops.floor_divide(total, divisor.astype(input.dtype))
    if reduce == "prod":
        return _multiplied(input, dim, index, part, kept)
    return _extreme(input, dim, index, part, kept, reduce == "amax")


def _limit(dtype, largest: bool):
    if dtype in (ms.float16, ms.float32, ms.float64, ms.bfloat16):
        return Tensor(math.inf if largest else -math.inf, dtype)
    bounds = np.iinfo(ms.dtype_to_nptype(dtype))
    return Tensor(bounds.max if largest else bounds.min, dtype)


def _extreme(input: Tensor, dim: int, index: Tensor, part: Tensor, kept: Tensor, largest: bool) -> Tensor:
    """The gradient is shared by all that equal the extreme, as torch's."""
    fixed, values = ops.stop_gradient(input), ops.stop_gradient(part)
    neutral = _limit(input.dtype, not largest)
    start = ops.where(kept, fixed, ops.zeros_like(fixed) + neutral)
    kernel = ops.tensor_scatter_max if largest else ops.tensor_scatter_min
    flat = kernel(ops.reshape(start, (-1,)), _flat_places(input.shape, dim, index), ops.reshape(values, (-1,)))
    found = ops.reshape(flat, input.shape)
    if not input.is_floating_point():
        return found
    wrong = added_at(
        ops.logical_and(kept, ops.isnan(fixed)).astype(ms.int32), dim, index, ops.isnan(values).astype(ms.int32)
    )
    found = ops.stop_gradient(ops.where(wrong > 0, ops.full_like(found, math.nan), found))
    mine = ops.logical_and(kept, fixed == found)
    theirs = values == _picked(found, dim, index)
    count = added_at(mine.astype(ms.int32), dim, index, theirs.astype(ms.int32))
    shares = ops.maximum(count, ops.ones_like(count)).astype(input.dtype)
    nothing, none = ops.zeros_like(input), ops.zeros_like(part)
    change = added_at(ops.where(mine, input - fixed, nothing), dim, index, ops.where(theirs, part - values, none))
    return found + ops.where(count > 0, change / shares, nothing)


def _multiplied(input: Tensor, dim: int, index: Tensor, part: Tensor, kept: Tensor) -> Tensor:
    """The gradient of each factor is the product of the others."""
    fixed, values = ops.stop_gradient(input), ops.stop_gradient(part)
    one = ops.ones_like(fixed)
    start = ops.where(kept, fixed, one)
    places = _flat_places(input.shape, dim, index)

    def product(first: Tensor, others: Tensor) -> Tensor:
        flat = ops.tensor_scatter_mul(ops.reshape(first, (-1,)), places, ops.reshape(others, (-1,)))
        return ops.reshape(flat, input.shape)

    found = product(start, values)
    if not input.is_floating_point():
        return found
    zero, zeros = start == 0, values == 0
    count = added_at(zero.astype(ms.int32), dim, index, zeros.astype(ms.int32))
    some = product(ops.where(zero, one, start), ops.where(zeros, ops.ones_like(values), values))
    alone = ops.where(count == 1, some, ops.zeros_like(some))
    mine = ops.where(zero, alone, ops.where(count == 0, found / ops.where(zero, one, start), ops.zeros_like(found)))
    divisors = ops.where(zeros, ops.ones_like(values), values)
    rest = ops.where(count == 0, found, ops.zeros_like(found))
    theirs = ops.where(zeros, _picked(alone, dim, index), _picked(rest, dim, index) / divisors)
    mine = ops.where(kept, mine, ops.zeros_like(mine))
    change = added_at((input - fixed) * mine, dim, index, (part - values) * theirs)
    return ops.stop_gradient(found) + change


def index_put(input: Tensor, indices, values: Tensor, accumulate: bool = False) -> Tensor:
    """``values`` at ``input[indices]``, added up where ``accumulate`` is set; else the last of several for one place
    counts. Masks are for eager mode."""
    if input.dtype != values.dtype:
        raise TypeError(f"index_put: one dtype is needed; received {input.dtype} and {values.dtype}.")
    places = []
    for index in indices:
        if index is None:
            raise TypeError("index_put: None is not available among indices; give an index for each of the first axes.")
        if index.dtype in (ms.bool_, ms.uint8):
            if tuple(index.shape) != tuple(input.shape[len(places) : len(places) + index.ndim]):
                raise IndexError(f"index_put: a mask of shape {index.shape} does not fit {input.shape}.")
            found = ops.nonzero(index)
            places += [found[:, axis] for axis in range(index.ndim)]
        else:
            places.append(index.astype(ms.int64))
    if len(places) > input.ndim:
        raise IndexError(f"index_put: too many indices for a tensor of {input.ndim} axes; received {len(places)}.")
    shape, flat = (), None
    for place in places:
        shape = broadcast_shape(shape, place.shape)
    for axis, place in enumerate(places):
        size = input.shape[axis]
        check_indices("index_put", place, -size, size)
        place = mint.broadcast_to(ops.where(place < 0, place + size, place), shape)
        flat = place if flat is None else flat * size + place
    rest = input.shape[len(places) :]
    block = math.prod(rest)
    values = mint.broadcast_to(values, (*shape, *rest))
    if flat is None or 0 in input.shape or 0 in values.shape:
        return input.copy()
    where = ops.reshape(ops.expand_dims(ops.reshape(flat, (-1,)), -1) * block + ops.arange(block), (-1,))
    return put(input, where, ops.reshape(values, (-1,)), accumulate)


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``source`` at the places of ``index`` in ``input`` read as one vector."""
    if input.dtype != source.dtype or index.size != source.size:
        raise TypeError("put: one dtype, and as many places as values, are needed.")
    if not index.size:
        return input.copy()
    flat, size = ops.reshape(input, (-1,)), input.size
    check_indices("put", index, -size, size)
    place = ops.reshape(ops.where(index < 0, index + size, index), (-1,)).astype(ms.int64)
    values = ops.reshape(source, (-1,))
    found = added_at(flat, 0, place, values) if accumulate else scatter(flat, 0, place, values)
    return ops.reshape(found, input.shape)


def _part(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    return mint.narrow(input, dim, start, length)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """``input`` with ``src`` in the place of one slice."""
    size = input.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"select_scatter: index must be in [{-size}, {size}); received {index}.")
    place = index % size
    return slice_scatter(input, ops.expand_dims(src, dim), dim, place, place + 1)


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """``input`` with ``src`` in the place of input[start:end:step] along ``dim``."""
    axis = axis_of("slice_scatter", input.ndim, dim)
    size = input.shape[axis]
    if step < 1:
        raise RuntimeError(f"slice_scatter: step must be positive; received {step}.")
    taken = tuple(range(*slice(start, end, step).indices(size)))
    wanted = tuple([len(taken) if i == axis else extent for i, extent in enumerate(input.shape)])
    if tuple(src.shape) != wanted:
        raise RuntimeError(f"slice_scatter: a source of shape {wanted} is needed; received {src.shape}.")
    if len(taken) == 0:
        return input.copy()
    src = src.astype(input.dtype)
    pieces, done = [], 0
    for number, place in enumerate(taken):
        if place > done:
            pieces.append(_part(input, axis, done, place - done))
        pieces.append(_part(src, axis, number, 1))
        done = place + 1
    if done < size:
        pieces.append(_part(input, axis, done, size - done))
    return ops.concat(pieces, axis)


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """``input`` with ``src`` on a diagonal of two axes."""
    first, second = axis_of("diagonal_scatter", input.ndim, dim1), axis_of("diagonal_scatter", input.ndim, dim2)
    rows, columns = input.shape[first], input.shape[second]
    length = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    rest = [axis for axis in range(input.ndim) if axis not in (first, second)]
    if tuple(src.shape) != (*[input.shape[axis] for axis in rest], length):
        raise RuntimeError(
            f"diagonal_scatter: a source of as many as {length} elements is needed; received {src.shape}."
        )
    if length == 0:
        return input.copy()
    places = np.arange(input.size).reshape(input.shape).diagonal(offset, first, second)
    return put(input, Tensor(np.ascontiguousarray(places)), src.astype(input.dtype))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the elements on a diagonal."""
    flat = ops.reshape(input, (-1,))
    size = flat.shape[0] + abs(offset)
    if not flat.shape[0]:
        return ops.zeros((size, size), input.dtype)
    rows = np.arange(flat.shape[0]) + max(-offset, 0)
    places = Tensor(rows * size + np.arange(flat.shape[0]) + max(offset, 0))
    return ops.reshape(added_at(ops.zeros((size * size,), input.dtype), 0, places, flat), (size, size))
