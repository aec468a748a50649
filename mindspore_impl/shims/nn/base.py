"""What the cells are made of: verified functions, start values of parameters, and arguments that may be one number or
several."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import Parameter, nn
from mindspore.common.initializer import Constant, Normal, Uniform, initializer

from common.api_mapping.names import named

__all__ = ["Module", "Wrapper", "bell", "constant", "function", "several", "training", "uniform"]


def function(name: str) -> Callable[..., Any]:
    """The shim of torch's function, or what the function is bound to where it has none.

    Looked up when a cell is constructed: while targets are probed, a function may have been verified since the start.
    """
    mapping = importlib.import_module("mindspore_impl.mapping")  # which imports the shims
    row = named("torch", "torch.nn.functional")[name]
    return mapping.resolve(row.shim) if row.shim else mapping.bound({name: row})[name]


class Module(nn.Cell):
    """A cell that starts in training mode, as torch's modules do; cells start in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.set_train()


def training(cell: Any) -> Any:
    """The class itself where its objects start in training mode, else a subclass whose objects do.

    Anything that is no class of cells is returned as it is.
    """
    if not isinstance(cell, type) or not issubclass(cell, nn.Cell) or issubclass(cell, Module):
        return cell

    def start(self, *arguments: Any, **keywords: Any):
        cell.__init__(self, *arguments, **keywords)
        self.set_train()

    start.__wrapped__ = cell.__init__  # its signature
    members = {"__init__": start, "__doc__": cell.__doc__, "__module__": cell.__module__}
    return type(cell.__name__, (cell,), members)


class Wrapper(Module):
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
