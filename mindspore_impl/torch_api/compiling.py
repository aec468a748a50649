"""``torch.compile``: a function or module as one graph of MindSpore.

The function is traced: it runs once for each kind of input, on the tensors that MindSpore hands it, and what it did
becomes the graph. Parameters and buffers are inputs of the graph, so that updates reach it, and buffers that were
written are outputs. Reading the value of a tensor (``if x.sum() > 0``, ``x.item()``) is refused, since it would become
a constant.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mindspore as ms
import numpy as np
from mindspore._c_expression import TensorPy
from mindspore.graph import jit_context, jit_trace

from mindspore_impl.torch_api.autograd import grad, record_always
from mindspore_impl.torch_api.tensor import Tensor, dropout, tape, tracing

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
        record_always()
        held, modes = _state(modules)
        inputs: list[Any] = []
        shape = _split((arguments, keywords), inputs)
        kinds = tuple([(value.shape, value.dtype, value._requires_grad) for value in [t.raw for t in (*held, *inputs)]])
        key = (shape, modes, bool(tape.enable_grad()), kinds)
        graph = graphs.get(key)
        if graph is None:
            _check(function, shape, held, inputs)
            graph = graphs[key] = _Graph(function, shape, held)
        return graph(held, inputs)

    return call


def _state(modules: tuple[Any, ...]) -> tuple[list[Tensor], tuple[bool, ...]]:
    """Parameters and buffers of modules, each once, and which modules are in training mode."""
    held: dict[int, Tensor] = {}
    modes: dict[int, bool] = {}
    left = list(reversed(modules))
    while left:
        module = left.pop()
        if id(module) in modes:
            continue
        state = module.__dict__
        modes[id(module)] = state["training"]
        for store in (state["_parameters"], state["_buffers"]):
            held.update((id(tensor), tensor) for tensor in store.values() if tensor is not None)
        left += [child for child in state["_modules"].values() if child is not None]
    return list(held.values()), tuple(modes.values())


def _counted(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> ms.Tensor:
    """``ops.arange`` as a constant."""
    made = ms.Tensor(np.arange(0, start, step) if end is None else np.arange(start, end, step))
    return made if dtype is None else made.astype(dtype)


@contextmanager
def _tracing() -> Iterator[None]:
    """While a function is traced, MindSpore is spared the look at the source of every caller, which takes most of the
    time and fails for code that is in no file; ``ops.arange``, which its trace cannot take, gives a constant; and after
    an error the trace is ended."""
    lines, arange = jit_trace._get_caller_lines, ms.ops.arange
    jit_trace._get_caller_lines, ms.ops.arange = (lambda: ([__file__], [0])), _counted
    try:
        yield
    except BaseException:
        jit_trace._using_trace = False
        jit_trace._trace_jit_context.compiled = False
        jit_context.set_jit_context(None)
        raise
    finally:
        jit_trace._get_caller_lines, ms.ops.arange = lines, arange
        record_always()


_numbers = itertools.count()
#: what ``ms.jit(capture_mode="trace")`` chooses
_CONFIG = ms.JitConfig(jit_level="O0", jit_syntax_level="LAX", backend="", options="{}")


class _Graph:
    """One trace."""

    def __init__(self, function: Callable[..., Any], shape: Any, held: list[Tensor]):
        self.function, self.shape, self.held, self.layout, self.written = function, shape, held, None, []
        self.error: Exception | None = None
        self.phase = ""
        self.compiled = jit_trace._jit_trace(_CONFIG)(self._named())

    def _named(self) -> Callable[..., Any]:
        def traced(*tensors: Any) -> Any:
            return self._run(tensors)

        traced.__name__ = f"traced{next(_numbers)}"  # MindSpore knows graphs by the name and the address of a function
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
        except Exception as error:  # the trace must come to its end, or no other can begin
            self.error = error
            return (ms.ops.stop_gradient(tensors[0]) if tensors else ms.Tensor(0.0),)
        finally:
            tracing.pop()
            for tensor, (value, source, version) in zip(self.held, before, strict=True):
                tensor._held, tensor._source, tensor._version = value, source, version

    def _traced(self, given: list[ms.Tensor]) -> Any:
        """What the graph gives, which is made of this call."""
        known = set(jit_trace._trace_compile_cache)
        with _tracing():
            try:
                found = self.compiled(*given)
            except Exception:
                if self.error is None:
                    raise
        if self.error is not None:
            raise self.error
        made = jit_trace._trace_compile_cache - known
        self.phase = made.pop() if len(made) == 1 else ""
        return found

    def _run_again(self, given: list[ms.Tensor]) -> Any:
        """What the graph gives. MindSpore's own call writes every argument and result out as text for its log."""
        jit_context.set_jit_context(jit_trace._trace_jit_context)
        try:
            return jit_trace.tr.get_instance().run_graph(self.phase, _CONFIG.jit_config_dict, tuple(given))
        finally:
            jit_context.set_jit_context(None)
            record_always()

    def __call__(self, held: list[Tensor], inputs: list[Tensor]) -> Any:
        given = [tensor.raw for tensor in (*held, *inputs)]
        found = self._run_again(given) if self.phase else self._traced(given)
        found = found if isinstance(found, tuple) else (found,)
        if not any(value._requires_grad for value in given):  # a graph's results always are recorded
            found = tuple(ms.ops.stop_gradient(value) if isinstance(value, TensorPy) else value for value in found)
        kept = len(found) - len(self.written)
        for place, value in zip(self.written, found[kept:], strict=True):
            held[place]._held = ms.ops.stop_gradient(value)
            held[place]._version += 1
        return _join(self.layout, iter(found[:kept]))


def _check(function: Callable[..., Any], shape: Any, held: list[Tensor], inputs: list[Tensor]) -> None:
    """Compare the graph with the function on other values than those it was traced with.

    MindSpore's trace leaves out some operations without a word; their results become constants of the graph. Dropout is
    off meanwhile, since no two of its masks are alike.

    Raises:
        RuntimeError: the graph gives other values or gradients than the function.
    """
    dropout.append(False)
    try:
        graph = _Graph(function, shape, held)
        graph(_copies(held, 0), _copies(inputs, 0))
        found = _values_and_gradients(graph, _copies(held, 1), _copies(inputs, 1))
        parameters = _copies(held, 1)
        before = [(tensor._held, tensor._source, tensor._version) for tensor in held]

        def eager(a: list[Tensor], b: list[Tensor]) -> Any:
            for tensor, given in zip(held, a, strict=True):
                tensor._held, tensor._source = given._held, None
            arguments, keywords = _join(shape, iter([value.raw for value in b]))
            return function(*arguments, **keywords)

        try:
            expected = _values_and_gradients(eager, parameters, _copies(inputs, 1))
        finally:
            for tensor, (value, source, version) in zip(held, before, strict=True):
                tensor._held, tensor._source, tensor._version = value, source, version
    finally:
        dropout.pop()
    for number, (one, two) in enumerate(zip(found, expected, strict=True)):
        if one.shape != two.shape or not np.allclose(
            one, two, rtol=1e-3, atol=1e-4 * max(np.abs(two).max(initial=0), 1)
        ):
            raise RuntimeError(
                f"{getattr(function, '__qualname__', function)} cannot be compiled: MindSpore's trace leaves out an "
                f"operation of it: value {number} of {len(found)} (outputs, then gradients) of the graph is off by "
                f"{np.abs(one - two).max() if one.shape == two.shape else 'its shape'}. Run it without "
                "torch.compile, or compile the parts that can be."
            )


def _copies(tensors: list[Tensor], number: int) -> list[Tensor]:
    """Tensors like these; with ``number`` floating point values are changed."""
    made = []
    for place, tensor in enumerate(tensors):
        array = tensor.numpy(force=True)
        if number and tensor.dtype.is_floating_point:
            spread = np.random.RandomState(place).uniform(0.8, 1.2, array.shape)
            array = (array * spread).astype(array.dtype)
        copied = Tensor(ms.Tensor(array))
        made.append(copied.requires_grad_(tensor.requires_grad and copied.dtype.is_floating_point))
    return made


def _values_and_gradients(call: Callable[..., Any], held: list[Tensor], inputs: list[Tensor]) -> list[np.ndarray]:
    """What a call gives, and the gradients of the weighted sum of it."""
    leaves: list[Tensor] = []
    _split(call(held, inputs), leaves)
    found = [leaf.numpy(force=True) for leaf in leaves]
    active = [leaf for leaf in leaves if leaf.requires_grad]
    trained = [tensor for tensor in (*held, *inputs) if tensor.requires_grad]
    if active and trained:
        weights = [np.random.RandomState(7).uniform(0.5, 1.5, tuple(leaf.shape)) for leaf in active]
        sent = [
            Tensor(ms.Tensor(np.asarray(weight, np.float32)).astype(leaf.raw.dtype))
            for weight, leaf in zip(weights, active, strict=True)
        ]
        gradients = grad(active, trained, sent, allow_unused=True)
        found += [
            np.zeros(tuple(t.shape)) if g is None else g.numpy(force=True)
            for g, t in zip(gradients, trained, strict=True)
        ]
    return found


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
