"""Functions of ``torch`` that are compositions of others, or take several tensors."""

from __future__ import annotations

import string
from typing import Any

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.dtypes import Size, device, dtype, here
from mindspore_impl.torch_api.lifting import lifted
from mindspore_impl.torch_api.tensor import Tensor, lower

__all__ = [
    "broadcast_shapes",
    "can_cast",
    "chunk",
    "detach",
    "diagonal",
    "einsum",
    "flatten",
    "get_default_device",
    "get_num_threads",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_storage",
    "movedim",
    "narrow",
    "numel",
    "permute",
    "promote_types",
    "ravel",
    "reshape",
    "result_type",
    "select",
    "set_float32_matmul_precision",
    "set_num_threads",
    "set_printoptions",
    "split",
    "squeeze",
    "swapaxes",
    "t",
    "tensor_split",
    "transpose",
    "typename",
    "unbind",
    "unflatten",
    "unsqueeze",
    "use_deterministic_algorithms",
    "where",
]  # fmt: skip

_where = bound(named("torch"))["where"]


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds and ``other`` elsewhere; alone, the places where it holds."""
    if input is None:
        return condition.nonzero(as_tuple=True)
    return Tensor(_where(condition.raw, lower(input), lower(other)))


def _method(name: str) -> Any:
    """A function that is a method too, and whose result is a view."""

    def call(input: Tensor, *arguments: Any, **keywords: Any) -> Any:
        return getattr(input, name)(*arguments, **keywords)

    call.__name__ = name
    return call


_METHODS = (
    "transpose",
    "permute",
    "squeeze",
    "unsqueeze",
    "flatten",
    "narrow",
    "select",
    "movedim",
    "swapaxes",
    "t",
    "reshape",
    "detach",
    "diagonal",
    "unflatten",
    "split",
    "chunk",
    "unbind",
    "tensor_split",
    "ravel",
)
for _name in _METHODS:
    globals()[_name] = _method(_name)


_einsum = lifted(bound(named("torch"))["einsum"], "einsum")


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products, written as letters, or as a list of axes behind each operand."""
    if isinstance(equation, str):
        given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
        return _einsum(equation, *given)
    given = (equation, *operands)
    tensors, axes = given[: len(given) // 2 * 2 : 2], given[1::2]
    text = ",".join(map(_letters, axes)) + (f"->{_letters(given[-1])}" if len(given) % 2 else "")
    return _einsum(text, *tensors)


def _letters(axes: Any) -> str:
    """Axes by number, as letters; those of the ellipsis as dots."""
    known = string.ascii_uppercase + string.ascii_lowercase
    return "".join("..." if axis is Ellipsis else known[axis] for axis in axes)


def numel(input: Tensor) -> int:
    """Number of elements."""
    return input.numel()


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating point one."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is a complex one."""
    return input.dtype.is_complex


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not 0."""
    return bool(input)


def is_storage(obj: Any) -> bool:
    """False: there are no storages."""
    return False


def typename(obj: Any) -> str:
    """Name of a type."""
    if isinstance(obj, Tensor):
        return obj.type()
    module = getattr(obj, "__module__", None)
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", type(obj).__name__)
    return name if module in (None, "builtins") else f"{module}.{name}"


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that these broadcast to."""
    import numpy as np

    return Size(np.broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))


_ORDER = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The dtype that holds both."""
    from mindspore_impl.torch_api.dtypes import NAMED

    names = {type1.name, type2.name}
    if len(names) == 1:
        return type1
    if names == {"uint8", "int8"}:
        return NAMED["int16"]
    if names == {"float16", "bfloat16"}:
        return NAMED["float32"]
    if "float64" in names and "complex64" in names:
        return NAMED["complex128"]
    return max(type1, type2, key=lambda kind: _ORDER.index(kind.name))


def _rank(value: Any) -> int:
    """How much an operand counts: tensors with axes, tensors without, numbers."""
    return 0 if not isinstance(value, Tensor) else 1 if not value.ndim else 2


def _category(kind: dtype) -> int:
    return 3 if kind.is_complex else 2 if kind.is_floating_point else 0 if kind.name == "bool" else 1


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype of an operation on both."""
    from mindspore_impl.torch_api.factories import tensor

    kinds = [value.dtype if isinstance(value, Tensor) else tensor(value).dtype for value in (tensor1, tensor2)]
    ranks = [_rank(value) for value in (tensor1, tensor2)]
    if ranks[0] == ranks[1]:
        return promote_types(*kinds)
    strong, weak = (kinds[0], kinds[1]) if ranks[0] > ranks[1] else (kinds[1], kinds[0])
    return weak if _category(weak) > _category(strong) else strong


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of one dtype may be written into another."""
    return _category(from_) <= _category(to)


def set_num_threads(number: int) -> None:
    """Nothing: set OMP_NUM_THREADS before the import."""


def get_default_device() -> device:
    """The device of this process."""
    return here()


def get_num_threads() -> int:
    """Threads of an operation."""
    import os

    return int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def set_printoptions(**_: Any) -> None:
    """Nothing."""


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing: products are computed in float32."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing."""
