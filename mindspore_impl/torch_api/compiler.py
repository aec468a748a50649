"""``torch.compiler``: questions and marks of code that may be compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.tensor import tracing

__all__ = ["allow_in_graph", "disable", "is_compiling", "is_dynamo_compiling", "is_exporting"]


def is_compiling() -> bool:
    """Whether a graph is being traced."""
    return bool(tracing)


is_dynamo_compiling = is_compiling


def is_exporting() -> bool:
    """False: graphs are not exported."""
    return False


def _as_it_is(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """The function itself: a trace follows every call."""
    return (lambda given: given) if function is None else function


allow_in_graph = disable = assume_constant_result = _as_it_is


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.compiler.{name}")
