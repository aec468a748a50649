"""Methods of torch's tensors as functions of the tensor.
 MindSpore's own in-place methods either lack a kernel on the CPU or return the result and leave the tensor as it was.
These write into its memory, so that other views of it see the write, or raise an error: see `written` for what is
refused.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops
from mindspore.common.api import _pynative_executor

from mindspore_impl.shims.arithmetic import add, div, mul, sub
from mindspore_impl.shims.checks import axis_of
from mindspore_impl.shims.creation import tensor
from mindspore_impl.shims.indexing import index_fill, masked_fill, scatter
from mindspore_impl.shims.pointwise import clamp, exp
from mindspore_impl.shims.shape import broadcast_to, check_shape
from mindspore_impl.shims.shape import reshape as _reshape

__all__ = [
    "add_", "clamp_", "copy_", "detach", "div_", "element_size", "exp_", "expand", "expand_as", "fill_", "index_fill_", "masked_fill_", "mul_", "nelement",
    "new_full", "new_ones", "new_tensor", "new_zeros", "relu_", "repeat", "reshape", "reshape_as", "scatter_", "size", "sub_", "to", "type", "unfold", "view",
    "written", "zero_",
]  # fmt: skip


def _sizes(size) -> tuple[int, ...]:
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)


_ORDER = {"Bool": 0, "Int": 1, "UInt": 1, "Float": 2, "BFloat": 2, "Complex": 3}
_INSTEAD = "Use the result instead: x = x.add(y) for x.add_(y)."


def written(input: Tensor, value: Tensor, cast: bool = False) -> Tensor:
    """Writes ``value``, broadcast and in the dtype of ``input``, into the memory of ``input``.

    Raises:
        RuntimeError: in a compiled graph, which copies views, so that a write would not reach what they are views of;
            where a gradient of the tensor is recorded, since views of a tensor that was written have gradient 0;
            for a view of a part of a tensor, or of all of it in another order, which no kernel writes through;
            for a value of a shape that does not broadcast or, unless ``cast``, of a higher kind of dtype.
    """
    if not hasattr(input, "assign_value"):  # only graphs lack it
        raise RuntimeError(
            "A method that changes its tensor cannot be compiled: a graph copies views, and the write would be lost. "
            "Use the result instead: x = x.add(y) for x.add_(y)."
        )
    if _pynative_executor.grad_flag() and (input._requires_grad or value._requires_grad):
        raise RuntimeError(
            "A method cannot change its tensor while a gradient of it is recorded: in MindSpore views of a tensor that "
            f"was written lose their gradient. {_INSTEAD}"
        )
    if not input.is_contiguous() or input.untyped_storage().nbytes() != input.nbytes:
        raise RuntimeError(
            "A method cannot change a view of a part of a tensor, or a transposed one: the tensor would stay as it was. "
            "Assign to a part of the tensor instead: x[0] = value for x[0].copy_(value)."
        )
    if not cast and _kind(value) > _kind(input):
        raise RuntimeError(f"A result of dtype {value.dtype} cannot be written into a tensor of dtype {input.dtype}.")
    if np.broadcast_shapes(value.shape, input.shape) != input.shape:
        raise RuntimeError(f"A result of shape {value.shape} cannot be written into a tensor of shape {input.shape}.")
    input.copy_(mint.broadcast_to(value, input.shape).astype(input.dtype))
    return input


def _kind(tensor: Tensor) -> int:
    return _ORDER[str(tensor.dtype).rstrip("0123456789_")]


def add_(input: Tensor, other, *, alpha=1) -> Tensor:
    """Adds alpha other."""
    return written(input, add(input, other, alpha=alpha))


def sub_(input: Tensor, other, *, alpha=1) -> Tensor:
    """Takes alpha other off."""
    return written(input, sub(input, other, alpha=alpha))


def mul_(input: Tensor, other) -> Tensor:
    """Multiplies."""
    return written(input, mul(input, other))


def div_(input: Tensor, other, *, rounding_mode: str | None = None) -> Tensor:
    """Divides."""
    return written(input, div(input, other, rounding_mode=rounding_mode))


def exp_(input: Tensor) -> Tensor:
    """Exponential."""
    return written(input, exp(input))


def relu_(input: Tensor) -> Tensor:
    """max(input, 0)."""
    return written(input, clamp(input, 0))


def clamp_(input: Tensor, min=None, max=None) -> Tensor:
    """Within [min, max]."""
    return written(input, clamp(input, min, max))


def copy_(input: Tensor, src: Tensor) -> Tensor:
    """The values of ``src``."""
    return written(input, src, cast=True)


def fill_(input: Tensor, value) -> Tensor:
    """One number everywhere."""
    return written(input, tensor(value) if not isinstance(value, Tensor) else value, cast=True)


def zero_(input: Tensor) -> Tensor:
    """0 everywhere."""
    return written(input, ops.zeros_like(input))


def masked_fill_(input: Tensor, mask: Tensor, value) -> Tensor:
    """A number where the mask is true."""
    return written(input, masked_fill(input, mask, value))


def scatter_(input: Tensor, dim: int, index: Tensor, src, *, reduce: str | None = None) -> Tensor:
    """``src``, a tensor or a number, at ``index``; with ``reduce`` add, added to what is there."""
    return written(input, scatter(input, dim, index, src, reduce=reduce))


def index_fill_(input: Tensor, dim: int, index: Tensor, value) -> Tensor:
    """A number at places along ``dim``."""
    return written(input, index_fill(input, dim, index, value))


def detach(input: Tensor) -> Tensor:
    """The same values, without a gradient."""
    return ops.stop_gradient(input)


def element_size(input: Tensor) -> int:
    """Bytes of one element."""
    return input.itemsize


def nelement(input: Tensor) -> int:
    """Number of elements."""
    return ops.numel(input)


def expand(input: Tensor, *sizes) -> Tensor:
    """Broadcast; -1 keeps a size."""
    return broadcast_to(input, _sizes(sizes))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """The shape of ``other``."""
    return broadcast_to(input, other.shape)


def repeat(input: Tensor, *repeats) -> Tensor:
    """Copies side by side, which torch.tile makes too."""
    sizes = _sizes(repeats)
    if len(sizes) < input.ndim:
        raise ValueError(f"repeat: a number for each axis of {input.shape} is needed; received {sizes}.")
    return mint.tile(input, sizes)


def reshape(input: Tensor, *shape) -> Tensor:
    """Another shape, of which one size may be -1."""
    return _reshape(input, _sizes(shape))


def view(input: Tensor, *shape) -> Tensor:
    """Another shape of the same memory, of which one size may be -1."""
    sizes = _sizes(shape)
    check_shape(input, sizes)
    return input.view(sizes)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The shape of ``other``."""
    return ops.reshape(input, other.shape)


def size(input: Tensor, dim: int | None = None):
    """The shape, or one size. MindSpore's ``Tensor.size`` is the number of elements."""
    return input.shape if dim is None else input.shape[dim]


def to(input: Tensor, dtype) -> Tensor:
    """Another dtype. Devices are not for tensors to choose: a process has one."""
    return input.astype(dtype)


def type(input: Tensor, dtype) -> Tensor:
    """Another dtype."""
    return input.astype(dtype)


def new_full(input: Tensor, size, fill_value, *, dtype=None) -> Tensor:
    """One number everywhere, in the dtype of ``input`` unless one is given."""
    wanted = input.dtype if dtype is None else dtype
    return ops.zeros(tuple(size), wanted) + ms.Tensor(fill_value, wanted)


def new_zeros(input: Tensor, *size, dtype=None) -> Tensor:
    """Zeros in the dtype of ``input``."""
    return ops.zeros(_sizes(size), input.dtype if dtype is None else dtype)


def new_ones(input: Tensor, *size, dtype=None) -> Tensor:
    """Ones in the dtype of ``input``."""
    return ops.ones(_sizes(size), input.dtype if dtype is None else dtype)


def new_tensor(input: Tensor, data) -> Tensor:
    """Python values in the dtype of ``input``, not for graphs."""
    return tensor(data, dtype=input.dtype)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows along an axis, each laid out along a new last axis."""
    axis = axis_of("unfold", input.ndim, dimension)
    length = input.shape[axis]
    if step < 1 or size < 0 or size > length:
        raise ValueError(
            f"unfold: step must be above 0 and size in [0, {length}]; received size {size} and step {step}."
        )
    count = (length - size) // step + 1
    before, after = input.shape[:axis], input.shape[axis + 1 :]
    if size == 0 or 0 in input.shape:
        return ops.zeros((*before, count, *after, size), input.dtype)
    windows = ops.gather(input, Tensor(_windows(count, size, step)), axis)
    windows = ops.reshape(windows, (*before, count, size, *after))
    order = (*range(axis + 1), *range(axis + 2, input.ndim + 1), axis + 1)
    return ops.transpose(windows, order)


@ops.constexpr
def _windows(count: int, size: int, step: int) -> tuple[int, ...]:
    """Where the elements of each window lie."""
    return tuple(start * step + place for start in range(count) for place in range(size))
