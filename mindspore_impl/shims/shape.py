"""Joining, splitting, moving and repeating."""

from __future__ import annotations

import itertools
import math

import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import axis_of, check_values
from mindspore_impl.shims.pointwise import WIDEST, spread

__all__ = [
    "broadcast_tensors",
    "broadcast_to",
    "cat",
    "combinations",
    "diag",
    "dsplit",
    "flip",
    "fliplr",
    "flipud",
    "hsplit",
    "movedim",
    "repeat_interleave",
    "reshape",
    "roll",
    "rot90",
    "select",
    "split",
    "squeeze",
    "stack",
    "t",
    "tensor_split",
    "unflatten",
    "vsplit",
]


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Every tensor in the common shape."""
    shape = np.broadcast_shapes(*[tensor.shape for tensor in tensors])
    return tuple([spread(tensor, shape) for tensor in tensors])


def broadcast_to(input: Tensor, size) -> Tensor:
    """Broadcast; -1 keeps a size."""
    new = len(size) - input.ndim
    if new < 0 or -1 in tuple(size[:new]):
        raise ValueError(f"broadcast_to: {input.shape} cannot be broadcast to {size}: -1 keeps an axis that is there.")
    for axis in range(input.ndim):
        if input.shape[axis] != 1 and size[new + axis] not in (-1, input.shape[axis]):
            raise ValueError(f"broadcast_to: {input.shape} cannot be broadcast to {size}.")
    sizes = tuple([input.shape[axis - new] if size[axis] == -1 else size[axis] for axis in range(len(size))])
    return spread(input, sizes)


def check_shape(input: Tensor, shape) -> None:
    """Refuse -1 in the shape of no elements, which could be any number.

    Raises:
        ValueError: it is there, beside a 0.
    """
    if -1 in shape and 0 in shape:
        raise ValueError(f"reshape: -1 could be any number beside 0; received {shape} for {input.shape}. Write it out.")


def reshape(input: Tensor, shape) -> Tensor:
    """Another shape, of which one size may be -1."""
    check_shape(input, shape)
    return mint.reshape(input, tuple(shape))


def _alike(tensors) -> tuple[Tensor, ...]:
    """The tensors in the widest of their dtypes: the kernels take one."""
    held = [tensor.dtype for tensor in tensors]
    wanted = [dtype for dtype in WIDEST if dtype in held][0]  # noqa: RUF015, graphs have no next()
    return tuple([tensor if tensor.dtype == wanted else tensor.astype(wanted) for tensor in tensors])


def cat(tensors, dim: int = 0) -> Tensor:
    """Joined along ``dim``, in the widest dtype; the kernel takes no result without elements."""
    tensors = _alike(tensors)
    _check_sizes(tensors, dim)
    filled = tuple([tensor for tensor in tensors if 0 not in tensor.shape])
    if filled:
        return mint.cat(filled, dim)
    known = [tensor.shape for tensor in tensors if tensor.shape != (0,)] or [(0,)]
    shape = list(known[0])
    shape[dim] = sum([sizes[dim] for sizes in known])
    return ops.zeros(tuple(shape), tensors[0].dtype)


def _check_sizes(tensors: tuple[Tensor, ...], dim: int) -> None:
    """torch takes a vector of no elements for nothing, and no other difference of sizes."""
    known = [tensor.shape for tensor in tensors if tensor.shape != (0,)]
    for shape in known[1:]:
        axis = axis_of("cat", len(shape), dim)
        if len(shape) != len(known[0]) or [n for i, n in enumerate(shape) if i != axis] != [
            n for i, n in enumerate(known[0]) if i != axis
        ]:
            raise ValueError(f"cat: sizes must be equal in every axis but {dim}; received {known[0]} and {shape}.")


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of ``r`` elements of a vector, one in a row, in the dtype of ``input``, also where there is none."""
    if input.ndim != 1 or r < 0:
        raise ValueError(f"combinations: a vector and a non-negative r are needed; received {input.shape} and {r}.")
    if r == 0:
        return ops.zeros((0,), input.dtype)
    places = _choices(input.shape[0], r, with_replacement)
    if not len(places):
        return ops.zeros((0, r), input.dtype)
    return ops.reshape(ops.gather(input, Tensor(places), 0), (-1, r))


@ops.constexpr
def _choices(size: int, r: int, repeated: bool) -> tuple:
    choose = itertools.combinations_with_replacement if repeated else itertools.combinations
    return tuple(place for chosen in choose(range(size), r) for place in chosen)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with this diagonal, or the diagonal of a matrix."""
    if input.ndim not in (1, 2):
        raise ValueError(f"diag: a vector or a matrix is needed; received {input.shape}.")
    return ops.diag_embed(input, diagonal) if input.ndim == 1 else ops.diagonal(input, diagonal).copy()


def flip(input: Tensor, dims) -> Tensor:
    """Axes reversed. An empty tensor is returned as it is: now and then the kernel ends the whole process over one."""
    return mint.flip(input, dims) if input.size else input


def fliplr(input: Tensor) -> Tensor:
    """The second axis reversed."""
    if input.ndim < 2:
        raise ValueError(f"fliplr: at least two axes are needed; received {input.shape}.")
    return flip(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """The first axis reversed."""
    if input.ndim < 1:
        raise ValueError("flipud: an axis is needed; received a tensor without axes.")
    return flip(input, (0,))


def movedim(input: Tensor, source, destination) -> Tensor:
    """Axes at other places, each named once."""
    for axes in (source, destination):
        named = [axis_of("movedim", input.ndim, axis) for axis in ((axes,) if isinstance(axes, int) else axes)]
        if len(set(named)) < len(named):
            raise ValueError(f"movedim: an axis may be named once; received {source} and {destination}.")
    return ops.movedim(input, source, destination)


def repeat_interleave(input: Tensor, repeats, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element several times in a row; a tensor of repeats makes the size depend on values, which graphs cannot
    hold."""
    if dim is None:
        input, dim = ops.reshape(input, (-1,)), 0
    if isinstance(repeats, Tensor):
        if not hasattr(repeats, "assign_value"):  # only graphs lack it; compiling the gradient would end the process
            raise ValueError(
                "In a compiled graph repeats must be a number: the size would depend on a tensor's values."
            )
        check_values("repeat_interleave", repeats, 0, float("inf"))
        places = np.repeat(np.arange(input.shape[dim]), repeats.asnumpy())
        if output_size is not None and output_size != len(places):
            raise ValueError(f"repeat_interleave: output_size must be {len(places)}; received {output_size}.")
        return ops.gather(input, Tensor(places.astype(np.int32)), dim)
    return ops.repeat_interleave(input, repeats, dim)


def roll(input: Tensor, shifts, dims=None) -> Tensor:
    """What leaves at one end comes back at the other."""
    if dims is None:
        return ops.reshape(_rolled(ops.reshape(input, (-1,)), shifts, 0), input.shape)
    return _rolled(input, shifts, dims)


def _rolled(input: Tensor, shifts, dims) -> Tensor:
    pairs = ((shifts, dims),) if isinstance(dims, int) else tuple(zip(shifts, dims))  # noqa: B905  (graphs know no strict)
    for shift, dim in pairs:
        size = input.shape[dim] if input.shape[dim] else 1  # nothing is rolled
        cut = -shift % size
        if cut != 0:
            input = mint.cat((mint.narrow(input, dim, cut, size - cut), mint.narrow(input, dim, 0, cut)), dim)
    return input


def rot90(input: Tensor, k: int = 1, dims=(0, 1)) -> Tensor:
    """Turned by 90 degrees ``k`` times, from the first of two axes to the second."""
    if len(dims) != 2 or axis_of("rot90", input.ndim, dims[0]) == axis_of("rot90", input.ndim, dims[1]):
        raise ValueError(f"rot90: two axes are needed; received {dims}.")
    if k % 4 == 0:
        return input.copy()
    if k % 4 == 2:
        return flip(input, tuple(dims))
    return mint.transpose(flip(input, (dims[1] if k % 4 == 1 else dims[0],)), dims[0], dims[1])


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One place of an axis, which goes away."""
    size = input.shape[axis_of("select", input.ndim, dim)]
    if index < -size or index >= size:
        raise IndexError(f"select: index must be in [{-size}, {size}); received {index}.")
    return ops.squeeze(mint.narrow(input, dim, index % size, 1), dim)


def squeeze(input: Tensor, dim=None) -> Tensor:
    """Without the axes of size 1, or those among ``dim``."""
    if dim is None:
        return ops.squeeze(input)
    axes = [axis_of("squeeze", input.ndim, axis) for axis in ((dim,) if isinstance(dim, int) else dim)]
    return ops.reshape(input, tuple([size for axis, size in enumerate(input.shape) if size != 1 or axis not in axes]))


def split(tensor: Tensor, split_size_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of a size, or of several. The gradient of mint.split mixes up elements where the gradient of a part lies in
    another order, as after a transposition; that of ops.split has no kernel for a part without elements."""
    sizes = split_size_or_sections
    if isinstance(sizes, int) or 0 not in sizes:
        return ops.split(tensor, sizes, dim)
    axis = axis_of("split", tensor.ndim, dim)
    kept = [size for size in sizes if size != 0]
    if len(kept) == 0 and tensor.shape[axis] != 0:
        raise ValueError(f"split: the sections must add up to {tensor.shape[axis]}; received {sizes}.")
    filled = ops.split(tensor, kept, axis) if len(kept) > 0 else ()
    empty = ops.zeros((*tensor.shape[:axis], 0, *tensor.shape[axis + 1 :]), tensor.dtype)
    parts, taken = (), 0
    for size in sizes:
        parts = (*parts, filled[taken] if size != 0 else empty)
        taken = taken + (size != 0)
    return parts


def stack(tensors, dim: int = 0) -> Tensor:
    """Joined along a new axis, in the widest dtype; without elements there is nothing to join, and the gradient's
    kernel fails."""
    tensors, shape = _alike(tensors), tensors[0].shape
    if 0 not in shape:
        return ops.stack(tensors, dim)
    axis = axis_of("stack", len(shape) + 1, dim)
    return ops.zeros((*shape[:axis], len(tensors), *shape[axis:]), tensors[0].dtype)


def t(input: Tensor) -> Tensor:
    """A matrix transposed, anything smaller as it is."""
    if input.ndim > 2:
        raise ValueError(f"t: at most two axes are transposed; received {input.shape}.")
    return mint.transpose(input, 0, 1) if input.ndim == 2 else input


def tensor_split(input: Tensor, indices_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts as equal as can be, or cut at the given places, which may stand in a tensor (not in a graph)."""
    if isinstance(indices_or_sections, Tensor):
        found = indices_or_sections.asnumpy().tolist()
        indices_or_sections = tuple(found) if indices_or_sections.ndim else found
    cuts = _cuts(input.shape[dim], indices_or_sections)
    return tuple([mint.narrow(input, dim, start, size) for start, size in cuts])


@ops.constexpr
def _cuts(size: int, parts) -> tuple[tuple[int, int], ...]:
    """Start and size of each part; the first parts are larger by one where the number does not divide the size."""
    if isinstance(parts, int):
        if parts < 1:
            raise ValueError(f"tensor_split: the number of sections must be above 0; received {parts}.")
        small, more = divmod(size, parts)
        sizes = [small + (part < more) for part in range(parts)]
        return tuple((sum(sizes[:part]), sizes[part]) for part in range(parts))
    ends = [min(max(end + size if end < 0 else end, 0), size) for end in parts]
    starts, ends = [0, *ends], [*ends, size]
    return tuple((start, max(end - start, 0)) for start, end in zip(starts, ends, strict=True))


@ops.constexpr
def _sizes(whole: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """-1 worked out, which reshape cannot beside an empty axis."""
    rest = math.prod(size for size in sizes if size != -1)
    found = tuple(whole // max(rest, 1) if size == -1 else size for size in sizes)
    if sizes.count(-1) > 1 or (rest == 0 and -1 in sizes) or math.prod(found) != whole:
        raise ValueError(f"unflatten: the sizes must multiply to {whole}, one of them may be -1; received {sizes}.")
    return found


def unflatten(input: Tensor, dim: int, sizes) -> Tensor:
    """One axis split into several."""
    dim = axis_of("unflatten", input.ndim, dim)
    sizes = _sizes(input.shape[dim], tuple(sizes))
    return ops.reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))


def part(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` elements along an axis, a copy in any dtype: the kernel of narrow has no float64 and no complex numbers in
    graphs."""
    axis = axis_of("narrow", input.ndim, dim)
    begin = tuple([start if i == axis else 0 for i in range(input.ndim)])
    size = tuple([length if i == axis else extent for i, extent in enumerate(input.shape)])
    return ops.slice(input.contiguous(), begin, size) if 0 not in size else ops.zeros(size, input.dtype)


def hsplit(input: Tensor, indices_or_sections) -> tuple[Tensor, ...]:
    """Parts along the second axis, or the only one."""
    return _in_parts("hsplit", input, indices_or_sections, 1, 1 if input.ndim > 1 else 0)


def vsplit(input: Tensor, indices_or_sections) -> tuple[Tensor, ...]:
    """Parts along the first axis."""
    return _in_parts("vsplit", input, indices_or_sections, 2, 0)


def dsplit(input: Tensor, indices_or_sections) -> tuple[Tensor, ...]:
    """Parts along the third axis."""
    return _in_parts("dsplit", input, indices_or_sections, 3, 2)


def _in_parts(name: str, input: Tensor, parts, least: int, axis: int) -> tuple[Tensor, ...]:
    if input.ndim < least:
        raise ValueError(f"{name}: at least {least} axes are needed; received {input.shape}.")
    if isinstance(parts, int) and (parts < 1 or input.shape[axis] % parts):
        raise ValueError(f"{name}: {parts} parts of one size are needed; received an axis of {input.shape[axis]}.")
    return tensor_split(input, parts, axis)
