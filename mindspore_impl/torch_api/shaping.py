"""Methods that ask for the shape of a tensor, or give it another one."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import ops

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.dtypes import dtype
from mindspore_impl.torch_api.lifting import lifted
from mindspore_impl.torch_api.tensor import Tensor
from mindspore_impl.torch_api.views import view_of

__all__ = ["flip", "last_transposed", "numbers", "reshape", "size", "stride", "transposed", "view"]


def size(self: Tensor, dim: int | None = None) -> Any:
    return self.shape if dim is None else self.raw.shape[dim]


def view(self: Tensor, *shape: Any, **keywords: Any) -> Tensor:
    if keywords or (shape and isinstance(shape[0], dtype)):
        raise NotImplementedError("Tensor.view with a dtype is not available: bits are not read as another dtype.")
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    sizes = _fitting(self, numbers(sizes))
    return view_of(self, lambda held: ops.reshape(held, sizes))


def reshape(self: Tensor, *shape: Any, **keywords: Any) -> Tensor:
    sizes = _fitting(self, numbers(keywords.get("shape", shape)))
    return view_of(self, lambda held: ops.reshape(held, sizes), True)


def _fitting(tensor: Tensor, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that is asked for, of which one size may be -1.

    Raises:
        RuntimeError: the elements do not fit, or -1 could be any number, as it could for no elements.
    """
    held = tensor.raw
    count, known = held.size, int(np.prod([size for size in sizes if size != -1], dtype=np.int64))
    if sizes.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(size < -1 for size in sizes):
        raise RuntimeError(f"invalid shape dimension {min(sizes)}")
    if -1 in sizes and not known and not count:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the unspecified dimension size -1 can "
            "be any value and is ambiguous"
        )
    if known != count if -1 not in sizes else not known or count % known:
        raise RuntimeError(f"shape '{list(sizes)}' is invalid for input of size {count}")
    return tuple(count // known if size == -1 else size for size in sizes)


_FLIP = lifted(bound({"flip": named("torch")["flip"]})["flip"], "flip")


def flip(self: Tensor, *dims: Any, **keywords: Any) -> Tensor:
    """Axes reversed, given one by one or together."""
    return _FLIP(self, numbers(keywords.get("dims", dims)))


def numbers(values: Any) -> tuple[int, ...]:
    values = values[0] if len(values) == 1 and isinstance(values[0], (tuple, list)) else values
    return tuple(int(value) for value in values)


def stride(self: Tensor, dim: int | None = None) -> Any:
    found = self.raw.stride()
    return tuple(found) if dim is None else found[dim]


def transposed(self: Tensor) -> Tensor:
    return self.permute(*range(self.ndim - 1, -1, -1)) if self.ndim != 1 else self


def last_transposed(self: Tensor) -> Tensor:
    return self.transpose(-2, -1)
