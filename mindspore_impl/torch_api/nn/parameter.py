"""Parameters and buffers."""

from __future__ import annotations

import itertools
from typing import Any

import mindspore as ms

from mindspore_impl.torch_api.tensor import _LOWER, Tensor, _fresh, tape

__all__ = ["Buffer", "Parameter", "UninitializedParameter"]

_numbers = itertools.count()


class Parameter(Tensor):
    """A tensor that a module finds among its attributes and an optimizer updates; ``raw`` is one of MindSpore's."""

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True):
        if data is None:
            held = ms.ops.zeros((0,), ms.float32)
        elif isinstance(data, Parameter) or isinstance(data.raw, ms.Parameter):
            held = _fresh(data.raw)
        else:
            held = data.raw
        if held._requires_grad:
            held = _fresh(held)
        if requires_grad:
            tape.set_grad_flag(True)
        super().__init__(ms.Parameter(ms.Tensor(held), name=f"parameter{next(_numbers)}", requires_grad=requires_grad))

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copied = Parameter(Tensor(_fresh(self.raw)), self.requires_grad)
        memo[id(self)] = copied
        return copied


class Buffer(Tensor):
    """A tensor that a module keeps beside its parameters."""

    __slots__ = ()

    def __init__(self, data: Tensor, *, persistent: bool = True):
        super().__init__(data.raw)
        self.__dict__["persistent"] = persistent


class UninitializedParameter:
    """Parameters whose shape is found by the first call."""

    def __init__(self, *_: Any, **__: Any):
        raise NotImplementedError("Lazy modules are not available: give the module its sizes.")


_LOWER[Parameter] = _LOWER[Tensor]
