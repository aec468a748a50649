"""Gradients as torch's networks ask for them: ``loss.backward()``, ``x.grad``, ``torch.autograd.grad``.

MindSpore records operations in PyNative mode, as torch does, if its recording is switched on; its entry points
(``ms.grad``) do so around one function. Here it stays on, and `run_backward`, which they call too, is called when
``backward()`` is. Every operation's gradient is therefore the one that the mapping verified.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore._c_expression import run_backward
from mindspore.common._grad_function import _Function

from mindspore_impl.torch_api.tensor import Tensor, lift, lower, tape, tracing

__all__ = [
    "Function",
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "record_always",
    "set_grad_enabled",
]


def record_always() -> None:
    """Switch MindSpore's recording on; it switches itself off after each of its own gradient functions."""
    tape.set_grad_flag(True)


def is_grad_enabled() -> bool:
    """Whether operations are recorded."""
    return bool(tape.enable_grad())


class _Mode:
    """A block, or the calls of a function, in which operations are recorded or not."""

    wanted = True

    def __init__(self, *function: Any):
        self.function, self.before = function, []

    def __new__(cls, *function: Any) -> Any:
        made = super().__new__(cls)
        if function and callable(function[0]):  # used as a decorator without parentheses
            return cls()(function[0])
        return made

    def __enter__(self) -> None:
        self.before.append(is_grad_enabled())
        tape.set_enable_grad(self.wanted)

    def __exit__(self, *_: Any) -> None:
        tape.set_enable_grad(self.before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            with type(self)() if not isinstance(self, set_grad_enabled) else set_grad_enabled(self.wanted):
                return function(*arguments, **keywords)

        return call


class no_grad(_Mode):  # noqa: N801  (torch's name)
    """Operations are not recorded."""

    wanted = False


class enable_grad(_Mode):  # noqa: N801
    """Operations are recorded."""

    wanted = True


class inference_mode(_Mode):  # noqa: N801
    """Operations are not recorded."""

    def __init__(self, mode: Any = True):
        super().__init__()
        self.wanted = not mode if isinstance(mode, bool) else False


class set_grad_enabled(_Mode):  # noqa: N801
    """Record operations or not, from now on or for a block."""

    def __init__(self, mode: bool):
        super().__init__()
        self.wanted = bool(mode)
        self.before.append(is_grad_enabled())
        tape.set_enable_grad(self.wanted)

    def __enter__(self) -> None:
        if not self.before:
            self.before.append(is_grad_enabled())
        tape.set_enable_grad(self.wanted)


def _start(outputs: Sequence[Tensor], gradients: Any) -> tuple[tuple[ms.Tensor, ...], tuple[ms.Tensor, ...]]:
    """Outputs and what their gradients are multiplied by.

    Raises:
        RuntimeError: an output is not recorded, or has several elements and no gradient is given.
    """
    if tracing:
        raise RuntimeError("backward() cannot be called in a compiled function: compile the forward pass alone.")
    given = [gradients] if isinstance(gradients, Tensor) else list(gradients or [None] * len(outputs))
    held = tuple(output.raw for output in outputs)
    sent = []
    for value, gradient in zip(held, given, strict=True):
        if not value._requires_grad:
            raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
        if gradient is None:
            if value.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            sent.append(ms.Tensor(np.ones(value.shape), value.dtype))  # no operation: the graph need not wait for it
        elif tuple(gradient.shape) != tuple(value.shape):
            raise RuntimeError(f"Mismatch in shape: grad_output has {gradient.shape} and output has {value.shape}.")
        else:
            sent.append(gradient.raw)
    return held, tuple(sent)


def _run(held: Any, sent: Any, keep: bool, create: bool, inputs: Any, accumulate: bool) -> Any:
    if create:
        raise NotImplementedError(
            "create_graph=True is not available: MindSpore 2.10 records the gradients of some operations only (not those "
            "of matmul, mean and pow), so that gradients of gradients would be wrong without an error."
        )
    try:
        return run_backward(held, sent, keep, False, inputs, True, accumulate_grad=accumulate)
    finally:
        record_always()  # an error switches the recording off


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to ``grad`` of the leaves."""
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    held, sent = _start(outputs, grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    chosen = [inputs] if isinstance(inputs, Tensor) else list(inputs or [])
    leaves = tuple(leaf.raw for leaf in chosen)
    _run(held, sent, keep, create_graph, leaves, True)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; ``grad`` stays as it is."""
    if is_grads_batched:
        raise NotImplementedError("autograd.grad(is_grads_batched=True) is not available: call it for each gradient.")
    held, sent = _start([outputs] if isinstance(outputs, Tensor) else list(outputs), grad_outputs)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    keep = create_graph if retain_graph is None else retain_graph
    given = tuple(value.raw for value in wanted)
    if not all(value._requires_grad for value in given):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = _run(held, sent, keep, create_graph, given, False)
    if materialize_grads:
        return tuple(Tensor(ms.ops.zeros_like(v) if g is None else g) for v, g in zip(given, found, strict=True))
    if not allow_unused and any(gradient is None for gradient in found):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    return tuple(None if gradient is None else Tensor(gradient) for gradient in found)


def _method(
    self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Add the gradients of this tensor to ``grad`` of the leaves."""
    backward(self, gradient, retain_graph, create_graph, inputs)


Tensor.backward = _method  # type: ignore[attr-defined]


class _Context:
    """What ``forward`` and ``backward`` of a `Function` share."""

    def __init__(self, inner: Any):
        self.__dict__["_inner"] = inner

    def save_for_backward(self, *tensors: Any) -> None:
        self._inner.save_for_backward(*(lower(value) for value in tensors))

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return lift(tuple(self._inner.saved_tensors))

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        return tuple(self._inner.needs_input_grad)

    def mark_non_differentiable(self, *tensors: Any) -> None:
        self._inner.mark_non_differentiable(*(lower(value) for value in tensors))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], f"_torch_{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_inner"], f"_torch_{name}", value)


class Function:
    """An operation with a gradient of its own: ``forward(ctx, ...)`` and ``backward(ctx, ...)``, both static."""

    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        """Call the operation."""
        return lift(_native(cls).apply(*(lower(value) for value in arguments)))


@functools.cache
def _native(function: type[Function]) -> type[_Function]:
    """MindSpore's class that calls the two."""

    def forward(context: Any, *arguments: Any) -> Any:
        given = [lift(value) for value in arguments]
        if hasattr(function, "setup_context"):
            found = function.forward(*given)
            function.setup_context(_Context(context), tuple(given), found)
        else:
            found = function.forward(_Context(context), *given)
        return lower(found)

    def back(context: Any, *gradients: Any) -> Any:
        return lower(function.backward(_Context(context), *[lift(value) for value in gradients]))

    members = {"forward": staticmethod(forward), "backward": staticmethod(back)}
    return type(function.__name__, (_Function,), members)
