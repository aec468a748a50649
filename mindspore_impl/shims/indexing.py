"""Choosing, placing, searching and sorting. Values are gathered by the indices found, which gives them a gradient."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import axis_of, check_indices
from mindspore_impl.shims.pointwise import number, promoted

__all__ = [
    "argsort", "bucketize", "gather", "index_add", "index_copy", "index_fill", "index_select", "isin", "kthvalue",
    "masked_fill", "masked_scatter", "msort", "nonzero", "scatter", "scatter_add", "searchsorted", "sort", "take",
    "take_along_dim", "topk", "unique", "where",
]  # fmt: skip


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Order of the elements, int64; equal ones in their own order if ``stable``. NaN counts as largest: the kernel
    leaves it anywhere, so it is sorted as infinity and then moved to its end."""
    if input.ndim == 0:
        return ops.zeros((), ms.int64)
    order = _order(input, dim, descending)
    if not stable or not input.size:
        return order
    size, values = input.shape[dim], ops.gather_elements(input, dim, order)
    if size < 2:
        return order
    before, after = mint.narrow(values, dim, 0, size - 1), mint.narrow(values, dim, 1, size - 1)
    new = before != after
    if input.is_floating_point():
        new = ops.logical_and(new, ops.logical_not(ops.logical_and(ops.isnan(before), ops.isnan(after))))
    first = ops.zeros_like(mint.narrow(order, dim, 0, 1))
    rank = ops.cumsum(ops.concat((first, new.astype(ms.int64)), dim), dim)
    return ops.gather_elements(order, dim, ops.sort(rank * size + order, dim)[1].astype(ms.int64))


def _order(input: Tensor, dim: int, descending: bool) -> Tensor:
    """`argsort`, with equal elements in any order."""
    input = input.astype(ms.int32) if input.dtype == ms.bool_ else input
    if not input.is_floating_point() or 0 in input.shape:
        return ops.sort(input, dim, descending)[1].astype(ms.int64)
    nans = ops.isnan(input)
    order = ops.sort(ops.where(nans, ops.zeros_like(input) + float("inf"), input), dim, descending)[1].astype(ms.int64)
    last = ops.gather_elements(nans.astype(ms.int64), dim, order)
    size = input.shape[dim]
    place = ops.reshape(
        ops.arange(size), tuple([size if axis == dim % input.ndim else 1 for axis in range(input.ndim)])
    )
    key = place + (1 - last if descending else last) * size
    return ops.gather_elements(order, dim, ops.sort(key.astype(ms.float32), dim)[1].astype(ms.int64))


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> tuple[Tensor, Tensor]:
    """(values, indices)."""
    order = argsort(input, dim, descending, stable)
    return input if input.ndim == 0 else ops.gather_elements(input, dim, order), order


def msort(input: Tensor) -> Tensor:
    """Values ascending along the first axis, NaN last."""
    return sort(input, 0)[0]


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """(values, indices) of the ``k`` largest or smallest."""
    if k < 0 or k > (input.shape[dim] if input.ndim else 1):
        raise ValueError(f"topk: k must be between 0 and the size of the axis; received {k}.")
    if not input.ndim:
        return (input, ops.zeros((), ms.int64)) if k else _nothing(ops.reshape(input, (1,)), 0)
    if k == 0 or not input.size:  # the kernel takes 1 and more
        kept = mint.narrow(input, dim, 0, k)
        return kept, ops.zeros(kept.shape, ms.int64)
    order = _first(input, k, dim, largest) if input.is_floating_point() else ops.topk(input, k, dim, largest, sorted)[1]
    order = order.astype(ms.int64)
    return ops.gather_elements(input, dim, order), order


def _first(input: Tensor, k: int, dim: int, largest: bool) -> Tensor:
    """By a whole sort, since the kernel leaves NaN anywhere."""
    return mint.narrow(argsort(input, dim, largest), dim, 0, k)


def _nothing(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """No values and no indices along ``dim``."""
    kept = mint.narrow(input, dim, 0, 0)
    return kept, ops.zeros(kept.shape, ms.int64)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(value, index) of the ``k``-th smallest, from 1."""
    if not 1 <= k <= (input.shape[dim] if input.ndim else 1):
        raise ValueError(f"kthvalue: k must be between 1 and the size of the axis; received {k}.")
    if not input.ndim:
        return input, ops.zeros((), ms.int64)
    index = mint.narrow(argsort(input, dim), dim, k - 1, 1)
    value = ops.gather_elements(input, dim, index)
    return (value, index) if keepdim else (ops.squeeze(value, dim), ops.squeeze(index, dim))


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
):
    """Ascending; with the place of every element and how often each occurs; of the slices along ``dim``. Sizes depend
    on the values, so not for graphs."""
    if dim is not None:
        found = np.unique(input.asnumpy(), axis=dim, return_inverse=True, return_counts=True)
        wanted = (True, return_inverse, return_counts)
        found = tuple([Tensor(part) for part, given in zip(found, wanted, strict=True) if given])
        return found if len(found) > 1 else found[0]
    flat = ops.reshape(input, (-1,))
    ordered, order = sort(flat)
    values, inverse, counts = mint.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    found = (values,)
    if return_inverse:
        found = (*found, ops.reshape(ops.gather_elements(inverse.astype(ms.int64), 0, argsort(order)), input.shape))
    if return_counts:
        found = (*found, counts.astype(ms.int64))
    return found if len(found) > 1 else values


def _spread(index: Tensor, dim: int, shape) -> Tensor:
    """A vector of places along ``dim``, repeated over the other axes of ``shape``."""
    dim = dim % len(shape)
    return mint.broadcast_to(ops.reshape(index, tuple([-1 if axis == dim else 1 for axis in range(len(shape))])), shape)


def _flat_places(shape, dim: int, index: Tensor) -> Tensor:
    """Where the elements at ``index`` along ``dim`` lie in a tensor of ``shape`` read as one vector, (index.size, 1),
    int64.

    Below 0, which the kernels refuse, for an index outside the axis: a graph cannot look at it beforehand.
    """
    dim = dim % len(shape)
    inside = ops.logical_and(index >= 0, index < shape[dim])
    index = ops.where(inside, index.astype(ms.int64), ops.full(index.shape, -math.prod(shape), dtype=ms.int64))
    places, step = ops.zeros(index.shape, ms.int64), 1
    for axis in range(len(shape) - 1, -1, -1):
        along = index if axis == dim else _spread(ops.arange(index.shape[axis]).astype(ms.int64), axis, index.shape)
        places, step = places + along * step, step * shape[axis]
    return ops.reshape(places, (-1, 1))


def added_at(input: Tensor, dim: int, index: Tensor, values: Tensor) -> Tensor:
    """``values``, of the shape of ``index``, added at ``index`` along ``dim``, one after another.

    MindSpore 2.10's ``tensor_scatter_elements(..., "add")`` adds from several threads without a lock: where an index
    repeats it loses some of the values in some of the calls. ``tensor_scatter_add`` adds in order.
    """
    if input.dtype == ms.bool_:
        return added_at(input.astype(ms.int32), dim, index, values.astype(ms.int32)) > 0
    flat = ops.tensor_scatter_add(
        ops.reshape(input, (-1,)), _flat_places(input.shape, dim, index), ops.reshape(values, (-1,))
    )
    return ops.reshape(flat, input.shape)


def scatter(input: Tensor, dim: int, index: Tensor, src, *, reduce: str | None = None) -> Tensor:
    """``src``, a tensor or a number, put at ``index``; of several for one place the last is taken, and has the
    gradient. ``reduce`` add puts the sum of what is there and of what is put."""
    if reduce is not None:
        if reduce != "add":
            raise ValueError(f"scatter: reduce must be add here; received {reduce}. For products take scatter_reduce.")
        part = src if isinstance(src, Tensor) else ops.full(index.shape, src, dtype=input.dtype)
        return scatter_add(input, dim, index, part)
    size = _size(input, dim)
    check_indices("scatter", index, 0, size)
    if not index.size:
        return input.copy()
    check_places("scatter", input, dim, index, src)
    if not isinstance(src, Tensor):
        ones = ops.ones(index.shape, ms.int32)
        hit = added_at(_marks(input, 0), dim, index, ones) if input.ndim else ops.reshape(ones, ())
        return ops.where(hit > 0, Tensor(src, input.dtype), input)
    _check_alike("scatter", input, src)
    if not input.ndim:
        return ops.reshape(src, ())
    part = _cut(src, index.shape)
    numbers = ops.reshape(ops.arange(index.size), index.shape).astype(ms.int32)
    taken = ops.tensor_scatter_max(
        ops.reshape(_marks(input, -1), (-1,)), _flat_places(input.shape, dim, index), ops.reshape(numbers, (-1,))
    )
    taken = ops.reshape(taken, input.shape)
    part = ops.where(_picked(taken, dim, index) == numbers, part, ops.zeros_like(part))
    kept = ops.where(taken >= 0, ops.zeros_like(input), input)
    return added_at(kept, dim, index, part)


def _check_alike(name: str, input: Tensor, src: Tensor) -> None:
    if input.dtype != src.dtype:
        raise TypeError(f"{name}: both tensors must have one dtype; received {input.dtype} and {src.dtype}.")


def check_places(name: str, input: Tensor, dim: int, index: Tensor, src) -> None:
    """Refuse an index that torch would not walk over: of another number of axes, or larger than ``src``, or than
    ``input`` in another axis than ``dim``.

    Raises:
        ValueError: it is one of them.
    """
    if not index.size:
        return
    axis, count = axis_of(name, input.ndim, dim), max(input.ndim, 1)
    source = src.shape if isinstance(src, Tensor) else index.shape
    if max(index.ndim, 1) != count or max(len(source), 1) != count:
        raise ValueError(
            f"{name}: all tensors must have as many axes; received {input.shape}, {index.shape} and {source}."
        )
    for i in range(min(index.ndim, input.ndim)):
        if i != axis and index.shape[i] > input.shape[i]:
            raise ValueError(f"{name}: the index {index.shape} must not be larger than the input {input.shape}.")
    for i in range(min(index.ndim, len(source))):
        if index.shape[i] > source[i]:
            raise ValueError(f"{name}: the index {index.shape} must not be larger than the source {source}.")


def _check_slices(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    """Refuse a source that is not one slice of ``input`` for each of a vector of places."""
    axis = axis_of(name, input.ndim, dim)
    wanted = tuple([index.size if i == axis else size for i, size in enumerate(input.shape)])
    if (
        index.ndim > 1
        or (input.ndim and tuple(source.shape) != wanted)
        or (not input.ndim and source.size != index.size)
    ):
        raise ValueError(
            f"{name}: a vector of places and a source of the shape {wanted} are needed; received {index.shape} and "
            f"{source.shape}."
        )


def _size(input: Tensor, dim: int) -> int:
    return input.shape[dim] if input.ndim else 1


def _marks(input: Tensor, value: int) -> Tensor:
    return ops.full(input.shape, value, dtype=ms.int32)


def _cut(src: Tensor, shape) -> Tensor:
    """The first ``shape`` elements of each axis, which is all that torch reads."""
    for axis in range(src.ndim):
        if src.shape[axis] != shape[axis]:
            src = mint.narrow(src, axis, 0, shape[axis])
    return src


def _picked(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """gather of an ``index`` that may be smaller than ``input`` in every axis."""
    dim = dim % input.ndim
    for axis in range(input.ndim):
        if axis != dim and input.shape[axis] != index.shape[axis]:
            input = mint.narrow(input, axis, 0, index.shape[axis])
    return ops.gather_elements(input, dim, index)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements at ``index`` along ``dim``. In a graph an index outside the axis is not refused: it counts from the
    end, or is an error of the kernel."""
    check_indices("gather", index, 0, _size(input, dim))
    check_places("gather", input, dim, index, None)
    if not index.size:
        return ops.zeros(index.shape, input.dtype)
    if not input.ndim:
        return ops.broadcast_to(input, index.shape)
    if not index.ndim:
        return ops.reshape(ops.gather_elements(input, dim, ops.reshape(index, (1,))), ())
    return _picked(input, dim, index)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``src`` added at ``index``, which is checked as that of `scatter`."""
    check_indices("scatter_add", index, 0, _size(input, dim))
    check_places("scatter_add", input, dim, index, src)
    _check_alike("scatter_add", input, src)
    if not index.size:
        return input.copy()
    if not input.ndim:
        return input + ops.reshape(src, ())
    return added_at(input, dim, index, _cut(src, index.shape))


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha=1) -> Tensor:
    """alpha source added at places along ``dim``."""
    _check_slices("index_add", input, dim, index, source)
    if not input.ndim:
        return ops.reshape(index_add(ops.reshape(input, (1,)), 0, index, ops.reshape(source, (-1,)), alpha=alpha), ())
    return scatter_add(
        input, dim, _spread(index, dim, source.shape), source if alpha == 1 else source * number(alpha, source)
    )


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``source`` put at places along ``dim``; of several for one place the last counts, and has the gradient.

    The kernel writes in parallel: all that go to one place carry the last one's values, so that their order is nothing.
    """
    check_indices("index_copy", index, 0, _size(input, dim))
    _check_slices("index_copy", input, dim, index, source)
    _check_alike("index_copy", input, source)
    if not index.size:
        return input.copy()
    if not input.ndim:
        return ops.reshape(source, ())
    count = index.size
    places = ops.reshape(index, (-1,)).astype(ms.int64)
    numbers = ops.arange(count).astype(ms.int64)
    ordered = ops.sort(places * count + numbers)[0]
    last = ops.gather(ordered, ops.searchsorted(ordered, (places + 1) * count) - 1, 0) - places * count
    own = _spread(last == numbers, dim, source.shape)
    values = ops.where(own, source, ops.stop_gradient(ops.gather(source, last, dim)))
    return ops.tensor_scatter_elements(input, _spread(index, dim, source.shape), values, dim)


def index_fill(input: Tensor, dim: int, index: Tensor, value) -> Tensor:
    """A number put at places along ``dim``, which may count from the end and repeat. In a graph a place outside the
    axis is no place."""
    size = _size(input, dim)
    if index.ndim > 1:
        raise IndexError(f"index_fill: a vector of places is needed; received the shape {index.shape}.")
    check_indices("index_fill", index, -size, size)
    places = ops.reshape(index, (-1, 1))
    hit = ops.logical_or(places == ops.arange(size), places + size == ops.arange(size))
    hit = (hit.astype(ms.int32).sum(0) if index.size else ops.zeros((size,), ms.int32)) > 0
    if input.ndim:
        hit = ops.reshape(hit, tuple([size if axis == dim % input.ndim else 1 for axis in range(input.ndim)]))
    filled = value.astype(input.dtype) if isinstance(value, Tensor) else Tensor(value, input.dtype)
    return ops.where(hit if input.ndim else hit[0], filled, input)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The places ``index`` of one axis; none are cut out, since the gradient's kernel wants some."""
    check_indices("index_select", index, 0, _size(input, dim))
    if index.ndim > 1:
        raise IndexError(f"index_select: a vector of places is needed; received the shape {index.shape}.")
    index = ops.reshape(index, (-1,))
    if not input.ndim:
        return ops.reshape(input, ())
    return mint.narrow(input, dim, 0, 0) if 0 in index.shape else ops.gather(input, index, dim)


def isin(elements: Tensor, test_elements: Tensor, *, invert: bool = False) -> Tensor:
    """Which elements are among the others."""
    found = (ops.expand_dims(elements, -1) == ops.reshape(test_elements, (-1,))).astype(ms.int32).sum(-1) > 0
    return ops.logical_not(found) if invert else found


def masked_fill(input: Tensor, mask: Tensor, value) -> Tensor:
    """``value`` where the mask is true; a Python number takes the tensor's dtype, also a whole one among floats."""
    return ops.masked_fill(input, mask, value if isinstance(value, Tensor) else Tensor(value, input.dtype))


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of ``source``, in order, where the mask is true.

    A source with too few elements is refused, in a graph its last element is repeated.
    """
    if mask.dtype != ms.bool_ or input.dtype != source.dtype:
        raise TypeError(
            f"masked_scatter: a boolean mask and one dtype are needed; received {mask.dtype}, {input.dtype} and {source.dtype}."
        )
    shape = np.broadcast_shapes(input.shape, mask.shape)
    input, mask = mint.broadcast_to(input, shape), mint.broadcast_to(mask, shape)
    if 0 in shape:
        return input.copy()
    places = ops.cumsum(ops.reshape(mask, (-1,)).astype(ms.int64), 0) - 1
    check_indices("masked_scatter: the source", places[-1:], -1, source.size)
    if not source.size:
        return input.copy()
    places = ops.clamp(places, 0, source.size - 1)
    taken = ops.reshape(ops.gather(ops.reshape(source, (-1,)), places, 0), shape)
    return ops.where(mask, taken, input)


def nonzero(input: Tensor, *, as_tuple: bool = False):
    """Places of what is not 0, one in a row, or one tensor for each axis. Sizes depend on the values, so not for
    graphs."""
    if not input.ndim:
        places = ops.nonzero(ops.reshape(input, (1,))).astype(ms.int64)
        return (places[:, 0],) if as_tuple else places[:, :0]
    places = ops.nonzero(input).astype(ms.int64)
    return tuple(ops.unbind(places, 1)) if as_tuple else places


def searchsorted(
    sorted_sequence: Tensor,
    input,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where the values would go, int64 or int32; a number gives a tensor without axes. ``side`` is left, or right as
    ``right`` says it too. ``sorter`` is the order of a sequence that is not sorted, as `argsort` gives it."""
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: side must be left or right, and not contradict right; received {side}.")
    values = input if isinstance(input, Tensor) else ops.zeros((), sorted_sequence.dtype) + input
    wanted = ms.int32 if out_int32 else ms.int64
    if sorter is not None:
        if sorter.dtype != ms.int64 or sorter.shape != sorted_sequence.shape:
            raise ValueError(
                "searchsorted: sorter must be int64 and of the shape of the sequence; received "
                f"{sorter.dtype} {sorter.shape} and {sorted_sequence.shape}."
            )
        check_indices("searchsorted: sorter", sorter, 0, sorted_sequence.shape[-1])
        sorted_sequence = ops.gather_elements(sorted_sequence, -1, sorter) if sorter.size else sorted_sequence
    if 0 in sorted_sequence.shape or 0 in values.shape:
        return ops.zeros(values.shape, wanted)
    return ops.searchsorted(sorted_sequence, values, right=right or side == "right").astype(wanted)


def bucketize(input: Tensor, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Which interval each element is in, int64 or int32."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor; negative places count from the end."""
    flat = ops.reshape(input, (-1,))
    check_indices("take", index, -flat.shape[0], flat.shape[0])
    if not index.size:
        return ops.zeros(index.shape, input.dtype)
    return ops.gather(flat, ops.where(index < 0, index + flat.shape[0], index), 0)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather with broadcast; flattens without ``dim``."""
    if dim is None:
        return ops.gather(ops.reshape(input, (-1,)), ops.reshape(indices, (-1,)), 0)
    dim = axis_of("take_along_dim", input.ndim, dim)
    pairs = list(zip(input.shape, indices.shape))  # noqa: B905  (graphs know no strict)
    source = tuple([a if axis == dim else max(a, b) for axis, (a, b) in enumerate(pairs)])
    places = tuple([b if axis == dim else max(a, b) for axis, (a, b) in enumerate(pairs)])
    return ops.gather_elements(mint.broadcast_to(input, source), dim, mint.broadcast_to(indices, places))


def where(condition: Tensor, input, other) -> Tensor:
    """``input`` where the condition is true, else ``other``, in the dtype that torch chooses."""
    return mint.where(condition, *promoted(input, other))
