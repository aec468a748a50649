"""``torch.compile``: a function or module as one graph of MindSpore.

The function is traced: it runs once for each kind of input, on the tensors that MindSpore hands it, and what it did
becomes the graph. Parameters and buffers are inputs of the graph, so that updates reach it, and buffers that were
written are outputs. Reading the value of a tensor (``if x.sum() > 0``, ``x.item()``) is refused, since it would become
a constant.

Where one scalar of what the function gives has a gradient, as a loss has, its gradients are computed in the same graph:
``backward()`` finds them there. Otherwise the gradient is a graph of its own.
"""

from __future__ import annotations

import atexit
import builtins
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore._c_expression import TensorPy
from mindspore.common._grad_function import _Function
from mindspore.graph import jit_context, jit_trace

from mindspore_impl.torch_api.autograd import grad, no_grad, record_always
from mindspore_impl.torch_api.graphs import Compiled
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
            make = _checked(function, shape, held, inputs)
            graph = graphs[key] = make()
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
            for tensor in store.values():
                if tensor is not None:
                    held[id(tensor)] = tensor
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
            return self._results(outputs) + tuple([self.held[place]._held for place in self.written])
        except Exception as error:  # the trace must come to its end, or no other can begin
            self.error = error
            return (ms.ops.stop_gradient(tensors[0]) if tensors else ms.Tensor(0.0),)
        finally:
            tracing.pop()
            for tensor, (value, source, version) in zip(self.held, before, strict=True):
                tensor._held, tensor._source, tensor._version = value, source, version

    def _results(self, outputs: list[Tensor]) -> tuple[ms.Tensor, ...]:
        """What the graph returns before the buffers that were written."""
        return tuple([output.raw for output in outputs])

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
        return self._given_back(held, found)

    def _given_back(self, held: list[Tensor], found: tuple[Any, ...]) -> Any:
        """The function's result; buffers take what was written into them."""
        kept = len(found) - len(self.written)
        for place, value in zip(self.written, found[kept:], strict=True):
            held[place]._held = ms.ops.stop_gradient(value)
            held[place]._version += 1
        return _join(self.layout, iter(found[:kept]))


class _Joint(_Graph):
    """One trace together with the gradients of the one output that has some, a scalar: one graph, as people compile a
    training step for MindSpore."""

    def __init__(
        self,
        function: Callable[..., Any],
        shape: Any,
        held: list[Tensor],
        count: int,
        loss: int,
        used: tuple[int, ...],
    ):
        super().__init__(function, shape, held)
        self.loss, self.used = loss, used
        self.compiled = Compiled(ms.value_and_grad(_loss_first(self.compiled, count), used, has_aux=True))

    def _results(self, outputs: list[Tensor]) -> tuple[ms.Tensor, ...]:
        return (outputs[self.loss].raw, *super()._results(outputs))

    def _evaluated(self, given: list[ms.Tensor]) -> tuple[tuple[Any, ...], tuple[ms.Tensor, ...]]:
        """What the function gives, and the gradients of its loss."""
        with no_grad(), _tracing():  # other parameters of the same shapes are traced anew
            try:
                (_, found), gradients = self.compiled(*given)
            except Exception:
                if self.error is None:
                    raise
        if self.error is not None:
            raise self.error
        return tuple(found), tuple(gradients) if isinstance(gradients, tuple | list) else (gradients,)

    def __call__(self, held: list[Tensor], inputs: list[Tensor]) -> Any:
        given, results = [tensor.raw for tensor in (*held, *inputs)], []

        def run() -> tuple[ms.Tensor, tuple[ms.Tensor, ...]]:
            found, gradients = self._evaluated(given)
            results.extend(found)
            return found[self.loss], gradients

        loss = _Known.apply(run, *[given[place] for place in self.used])
        record_always()
        results[self.loss] = loss
        return self._given_back(held, tuple(results))


class _Known(_Function):
    """A scalar whose gradients are computed with it."""

    @staticmethod
    def forward(context: Any, run: Callable[[], Any], *_: ms.Tensor) -> ms.Tensor:
        loss, context.gradients = run()
        return loss

    @staticmethod
    def backward(context: Any, sent: ms.Tensor) -> tuple[Any, ...]:
        if float(sent.asnumpy()) == 1.0:
            return (None, *context.gradients)
        return (None, *[gradient * sent.astype(gradient.dtype) for gradient in context.gradients])


@functools.cache
def _folder() -> str:
    """Where the source of graphs lies until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="twinlora-graphs-")
    atexit.register(folder.cleanup)
    return folder.name


def _loss_first(traced: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The first result of a traced function of ``count`` tensors apart from the others.

    MindSpore takes a trace into a graph only where each of its arguments has a name, and reads source text.
    """
    names = ", ".join(f"x{number}" for number in range(count))
    lines = [f"def call({names}):\n", f"    found = traced({names})\n", "    return found[0], found[1:]\n"]
    source = "".join(["def enclose(traced):\n", *(f"    {line}" for line in lines), "    return call\n"])
    file = Path(_folder()) / f"graph{next(_numbers)}.py"
    file.write_text(source, encoding="utf-8")
    space: dict[str, Any] = {"__name__": __name__}
    exec(builtins.compile(source, str(file), "exec"), space)
    return space["enclose"](traced)


def _checked(
    function: Callable[..., Any], shape: Any, held: list[Tensor], inputs: list[Tensor]
) -> Callable[[], _Graph]:
    """What makes the graph of ``function``, after one that it made was compared with the function on other values than
    those it was traced with.

    MindSpore's trace leaves out some operations without a word; their results become constants of the graph. Dropout is
    off meanwhile, since no two of its masks are alike.

    Raises:
        RuntimeError: the graph gives other values or gradients than the function.
    """
    dropout.append(False)
    try:
        expected = _eagerly(function, shape, held, inputs)
        make = functools.partial(_Graph, function, shape, held)
        if expected.loss is not None and expected.used:
            count = len(held) + len(inputs)
            make = functools.partial(_Joint, function, shape, held, count, expected.loss, expected.used)
        graph = make()
        graph(_copies(held, 0), _copies(inputs, 0))
        found = _values_and_gradients(graph, _copies(held, 1), _copies(inputs, 1))
    finally:
        dropout.pop()
    for number, (one, two) in enumerate(zip(found.arrays, expected.arrays, strict=True)):
        if one.shape != two.shape or not np.allclose(
            one, two, rtol=1e-3, atol=1e-4 * max(np.abs(two).max(initial=0), 1)
        ):
            raise RuntimeError(
                f"{getattr(function, '__qualname__', function)} cannot be compiled: MindSpore's trace leaves out an "
                f"operation of it: value {number} of {len(found.arrays)} (outputs, then gradients) of the graph is off "
                f"by {np.abs(one - two).max() if one.shape == two.shape else 'its shape'}. Run it without "
                "torch.compile, or compile the parts that can be."
            )
    return make


def _eagerly(function: Callable[..., Any], shape: Any, held: list[Tensor], inputs: list[Tensor]) -> _Evaluation:
    """What the function gives without a graph on other values."""
    parameters = _copies(held, 1)
    before = [(tensor._held, tensor._source, tensor._version) for tensor in held]

    def eager(a: list[Tensor], b: list[Tensor]) -> Any:
        for tensor, given in zip(held, a, strict=True):
            tensor._held, tensor._source = given._held, None
        arguments, keywords = _join(shape, iter([value.raw for value in b]))
        return function(*arguments, **keywords)

    try:
        return _values_and_gradients(eager, parameters, _copies(inputs, 1))
    finally:
        for tensor, (value, source, version) in zip(held, before, strict=True):
            tensor._held, tensor._source, tensor._version = value, source, version


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


@dataclass(frozen=True)
class _Evaluation:
    """What a call gave."""

    arrays: list[np.ndarray]  #: outputs, then gradients of the weighted sum of them
    loss: int | None  #: the place of the only output that has a gradient, if that is one number
    used: tuple[int, ...]  #: places of the tensors that have a gradient, parameters and buffers first


def _values_and_gradients(call: Callable[..., Any], held: list[Tensor], inputs: list[Tensor]) -> _Evaluation:
    """Outputs and gradients of a call."""
    leaves: list[Tensor] = []
    _split(call(held, inputs), leaves)
    found = [leaf.numpy(force=True) for leaf in leaves]
    active = [place for place, leaf in enumerate(leaves) if leaf.requires_grad]
    trained = [place for place, tensor in enumerate((*held, *inputs)) if tensor.requires_grad]
    used: list[int] = []
    if active and trained:
        weights = [np.random.RandomState(7).uniform(0.5, 1.5, tuple(leaves[place].shape)) for place in active]
        sent = [
            Tensor(ms.Tensor(np.asarray(weight, np.float32)).astype(leaves[place].raw.dtype))
            for weight, place in zip(weights, active, strict=True)
        ]
        wanted = [(*held, *inputs)[place] for place in trained]
        gradients = grad([leaves[place] for place in active], wanted, sent, allow_unused=True)
        used = [place for place, gradient in zip(trained, gradients, strict=True) if gradient is not None]
        found += [
            np.zeros(tuple(t.shape)) if g is None else g.numpy(force=True)
            for g, t in zip(gradients, wanted, strict=True)
        ]
    single = len(active) == 1 and leaves[active[0]].numel() == 1
    return _Evaluation(found, active[0] if single else None, tuple(used))


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
