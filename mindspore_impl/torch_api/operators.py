"""``x + y``, ``x < y`` and the other operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms

from mindspore_impl.torch_api.dtypes import of
from mindspore_impl.torch_api.indexing import getitem, setitem
from mindspore_impl.torch_api.lifting import in_place, lifted
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["operators_of"]

_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "pow": "pow", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARED = {name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_KNOWN = (int, float, bool, complex)


def operators_of(functions: dict[str, Any], methods: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, row in _BINARY.items():
        function = methods.get(row) or functions[row]
        made[f"__{name}__"] = _binary(function)
        made[f"__r{name}__"] = _binary(function, True)
        if name != "matmul":
            made[f"__i{name}__"] = in_place(function, f"{name}_")
    for name, row in _COMPARED.items():
        made[f"__{name}__"] = _binary(methods[row])
    made["__neg__"] = lifted(methods["neg"], "neg")
    made["__invert__"] = lifted(methods["bitwise_not"], "bitwise_not")
    made["__abs__"] = lifted(methods["abs"], "abs")
    made["__pos__"] = lambda self: self
    made["__getitem__"], made["__setitem__"] = getitem, setitem
    return made


def _binary(function: Callable[..., Any], reflected: bool = False) -> Callable[[Tensor, Any], Any]:
    def call(self: Tensor, other: Any) -> Any:
        held = self._held if self._source is None else self._source.read(self)
        if isinstance(other, Tensor):
            given = other._held if other._source is None else other._source.read(other)
        elif isinstance(other, _KNOWN):
            given = other
        elif hasattr(other, "__array__"):
            given = ms.Tensor(other)
        else:
            return NotImplemented
        if reflected:
            if not isinstance(given, ms.Tensor):
                given = _number(given, held)
            return Tensor(function(given, held))
        return Tensor(function(held, given))

    return call


def _number(value: Any, held: ms.Tensor) -> ms.Tensor:
    """A number in the dtype that it has beside ``held``."""
    kind = of(held.dtype)
    if isinstance(value, complex) and not kind.is_complex:
        return ms.Tensor(value, ms.complex64)
    if isinstance(value, float) and not (kind.is_floating_point or kind.is_complex):
        return ms.Tensor(value, ms.float32)
    if isinstance(value, int) and not isinstance(value, bool) and kind.name == "bool":
        return ms.Tensor(value, ms.int64)
    return ms.Tensor(value, held.dtype)
