"""What the cells are made of: verified functions, start values of parameters, and arguments that may be one number or several."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import Parameter, nn
from mindspore.common.initializer import Constant, Normal, Uniform, initializer

from common.api_mapping.names import named

__all__ = ["Wrapper", "bell", "constant", "function", "several", "uniform"]


def function(name: str) -> Callable[..., Any]:
    """The shim of torch's function, or what the function is bound to where it has none.

    Looked up when a cell is constructed: while targets are probed, a function may have been verified since the start.
    """
    mapping = importlib.import_module("mindspore_impl.mapping")  # which imports the shims
    row = named("torch", "torch.nn.functional")[name]
    return mapping.resolve(row.shim) if row.shim else mapping.bound({name: row})[name]


class Wrapper(nn.Cell):
    """Calls such a function with its inputs and the constructor's arguments."""

    def __init__(self, name: str, inplace: bool = False, **keywords: Any):
        super().__init__()
        if inplace:
            raise ValueError("inplace=True is not available: a new tensor is returned; use it and leave inplace out.")
        self.function, self.keywords = function(name), keywords

    def construct(self, *inputs):
        return self.function(*inputs, **self.keywords)


def uniform(bound: float, *shape: int) -> Parameter:
    """Uniform in [-bound, bound]."""
    return Parameter(initializer(Uniform(bound), shape, ms.float32))


def bell(deviation: float, *shape: int) -> Parameter:
    """Normal around 0."""
    return Parameter(initializer(Normal(deviation), shape, ms.float32))


def constant(value: float, *shape: int, trained: bool = True) -> Parameter:
    """One value everywhere."""
    return Parameter(initializer(Constant(value), shape, ms.float32), requires_grad=trained)


def several(value: Any, count: int) -> tuple[Any, ...]:
    """``count`` values, of which one may stand for all."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * count
