"""``torch.compile``: a function or module as one graph of MindSpore.

The function is traced: it runs once for each kind of input, on the tensors that MindSpore hands it, and what it did
becomes the graph. Parameters and buffers are inputs of the graph, so that updates reach it, and buffers that were
written are outputs. Reading the value of a tensor (``if x.sum() > 0``, ``x.item()``) is refused, since it would become
a constant.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore._c_expression import TensorPy

from mindspore_impl.torch_api.autograd import record_always
from mindspore_impl.torch_api.tensor import Tensor, tape, tracing

__all__ = ["compile", "compile_function"]


def compile(model: Any = None, **_: Any) -> Any:
    """A module whose calls are compiled, or a compiled function; options of torch's compiler change nothing.

    A module is returned itself, its ``forward`` compiled. A function is searched for modules among what it refers to.
    """
    from mindspore_impl.torch_api.nn.module import Module

    if model is None:
        return compile
    if isinstance(model, Module):
        model.compile()
        return model
    return compile_function(model, *_modules_of(model))


def _modules_of(function: Callable[..., Any]) -> list[Any]:
    """Modules among a function's globals and the variables that it closes over."""
    from mindspore_impl.torch_api.nn.module import Module

    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    code = getattr(function, "__code__", None)
    found = [function.__globals__[name] for name in code.co_names if name in function.__globals__] if code else []
    bound = getattr(function, "__self__", None)
    return [value for value in (*cells, *found, bound) if isinstance(value, Module)]


def compile_function(function: Callable[..., Any], *modules: Any) -> Callable[..., Any]:
    """``function`` as a graph, with the parameters and buffers of ``modules`` as inputs."""
    graphs: dict[Any, Any] = {}

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        if tracing:
            return function(*arguments, **keywords)
        held = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        inputs: list[Any] = []
        shape = _split((arguments, keywords), inputs)
        modes = tuple(part.training for module in modules for part in module.modules())
        key = (shape, modes, bool(tape.enable_grad()), tuple((tuple(t.shape), t.dtype.name) for t in (*held, *inputs)))
        if key not in graphs:
            graphs[key] = _Graph(function, shape, held)
        return graphs[key](held, inputs)

    return call


class _Graph:
    """One trace."""

    def __init__(self, function: Callable[..., Any], shape: Any, held: list[Tensor]):
        self.function, self.shape, self.held, self.layout, self.written = function, shape, held, None, []
        self.compiled = ms.jit(self._named(), capture_mode="trace")

    def _named(self) -> Callable[..., Any]:
        def traced(*tensors: Any) -> Any:
            return self._run(tensors)

        return traced

    def _run(self, tensors: tuple[Any, ...]) -> Any:
        count = len(self.held)
        before = [(tensor._held, tensor._source, tensor._version) for tensor in self.held]
        tracing.append(getattr(self.function, "__name__", "function"))
        try:
            for tensor, given in zip(self.held, tensors, strict=False):
                tensor._held, tensor._source = given, None
            arguments, keywords = _join(self.shape, iter(tensors[count:]))
            found = self.function(*arguments, **keywords)
            outputs: list[Any] = []
            self.layout = _split(found, outputs)
            self.written = [place for place, tensor in enumerate(self.held) if tensor._held is not tensors[place]]
            return tuple([output.raw for output in outputs] + [self.held[place]._held for place in self.written])
        finally:
            tracing.pop()
            for tensor, (value, source, version) in zip(self.held, before, strict=True):
                tensor._held, tensor._source, tensor._version = value, source, version

    def __call__(self, held: list[Tensor], inputs: list[Tensor]) -> Any:
        self.held = held
        found = self.compiled(*[tensor.raw for tensor in (*held, *inputs)])
        record_always()
        found = found if isinstance(found, tuple) else (found,)
        kept = len(found) - len(self.written)
        for place, value in zip(self.written, found[kept:], strict=True):
            held[place]._held = ms.ops.stop_gradient(value)
            held[place]._version += 1
        return _join(self.layout, iter(found[:kept]))


class _Leaf:
    """The place of a tensor."""

    def __repr__(self) -> str:
        return "tensor"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Leaf)

    def __hash__(self) -> int:
        return 1


_LEAF = _Leaf()


def _split(value: Any, tensors: list[Any]) -> Any:
    """The structure of ``value`` as something that can be compared, its tensors added to ``tensors``."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _LEAF
    if isinstance(value, dict):
        return ("dict", type(value), tuple((name, _split(item, tensors)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return ("sequence", type(value), tuple(_split(item, tensors) for item in value))
    if hasattr(value, "__dataclass_fields__"):
        fields = tuple((name, _split(getattr(value, name), tensors)) for name in value.__dataclass_fields__)
        return ("fields", type(value), fields)
    return ("value", value)


def _join(shape: Any, tensors: Any) -> Any:
    """The value that `_split` took apart, with other tensors."""
    if shape is _LEAF or isinstance(shape, _Leaf):
        found = next(tensors)
        return Tensor(found) if isinstance(found, TensorPy) else found
    kind = shape[0]
    if kind == "value":
        return shape[1]
    if kind == "dict":
        return shape[1]({name: _join(item, tensors) for name, item in shape[2]})
    if kind == "fields":
        return shape[1](**{name: _join(item, tensors) for name, item in shape[2]})
    items = [_join(item, tensors) for item in shape[2]]
    return shape[1](*items) if hasattr(shape[1], "_fields") else shape[1](items)
