"""``torch.LongTensor`` and its kin: constructors of one dtype, which ``isinstance`` and ``Tensor.type`` know too."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindspore_impl.torch_api.dtypes import NAMED, Size, dtype
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["TYPED", "named_type", "type_name"]

_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long", "int32": "Int", "int16": "Short",
    "int8": "Char", "uint8": "Byte", "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


class _Typed(type):
    """The class of these classes: a tensor is an instance of the one of its dtype."""

    dtype: dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *arguments: Any, **keywords: Any) -> Tensor:
        return made(cls.dtype, f"torch.{cls.__name__}", *arguments, **keywords)


def made(kind: dtype, name: str, *arguments: Any, device: Any = None) -> Tensor:
    """A tensor of one dtype of values, or of a size; of a size the values are 0, where torch leaves them open.

    Raises:
        TypeError: a number that is no size, or a tensor of another dtype.
    """
    from mindspore_impl.torch_api.factories import tensor, zeros

    if all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in arguments):
        return zeros(*arguments or (0,), dtype=kind, device=device)
    if len(arguments) > 1:
        raise TypeError(f"new() received an invalid combination of arguments - got {arguments}")
    data = arguments[0]
    if isinstance(data, Size):
        return zeros(data, dtype=kind, device=device)
    if isinstance(data, Tensor):
        if data.dtype is not kind:
            raise TypeError(f"{name}: expected a tensor of {kind}, and got one of {data.dtype}. Use x.to({kind}).")
        return data.detach()
    if isinstance(data, (float, bool, complex, str)) or not hasattr(data, "__len__"):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    return tensor(data, dtype=kind, device=device)


#: the classes by torch's names
TYPED = {f"{name}Tensor": _Typed(f"{name}Tensor", (), {"dtype": NAMED[kind]}) for kind, name in _NAMES.items() if not kind.startswith("complex")}  # fmt: skip
_OF_TEXT = {f"torch.{name}Tensor": NAMED[kind] for kind, name in _NAMES.items()}


def type_name(kind: dtype) -> str:
    """What ``x.type()`` gives."""
    return f"torch.{_NAMES[kind.name]}Tensor"


def named_type(kind: Any) -> dtype:
    """The dtype that ``x.type(kind)`` asks for.

    Raises:
        ValueError: no type has that name.
        TypeError: a value of another kind.
        RuntimeError: a type of a device that this process does not have.
    """
    if isinstance(kind, dtype):
        return kind
    if isinstance(kind, _Typed):
        return kind.dtype
    if kind is Tensor or kind == "torch.Tensor":
        from mindspore_impl.torch_api.factories import get_default_dtype

        return get_default_dtype()
    if not isinstance(kind, (str, type)):
        raise TypeError("dtype must be a type, str, or dtype object")
    text = kind if isinstance(kind, str) else kind.__name__
    if text.startswith("torch.cuda.") and text.replace("cuda.", "") in _OF_TEXT:
        from mindspore_impl.torch_api.dtypes import device

        device.placed("cuda")
        text = text.replace("cuda.", "")
    if text not in _OF_TEXT:
        raise ValueError(f"invalid type: '{text}'")
    return _OF_TEXT[text]
