"""Views as operations that MindSpore's trace records; it leaves the views of its own out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import ops

from mindspore_impl.torch_api.shaping import numbers
from mindspore_impl.torch_api.tensor import tracing

__all__ = ["TRACED", "in_traces"]


def in_traces(function: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """``other`` while a graph is traced: MindSpore's trace leaves its views out."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        return (other if tracing else function)(*arguments, **keywords)

    call.__name__, call.__doc__ = getattr(function, "__name__", "view"), function.__doc__
    return call


def _swapped(held: ms.Tensor, dim0: int, dim1: int) -> ms.Tensor:
    order = list(range(held.ndim))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return ops.transpose(held, tuple(order))


def _part(held: ms.Tensor, dim: int, start: int, length: int) -> ms.Tensor:
    places = [slice(None)] * held.ndim
    places[dim] = slice(start % held.shape[dim] if start < 0 else start, start + length)
    return held[tuple(places)]


def _selected(held: ms.Tensor, dim: int, index: int) -> ms.Tensor:
    places: list[Any] = [slice(None)] * held.ndim
    places[dim] = index
    return held[tuple(places)]


def _parts(held: ms.Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[ms.Tensor, ...]:
    size = held.shape[dim]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        sizes = [min(step, size - start) for start in range(0, size, step)]
    else:
        sizes = list(split_size_or_sections)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(_part(held, dim, start, length) for start, length in zip(starts, sizes, strict=True))


def _chunks(held: ms.Tensor, chunks: int, dim: int = 0) -> tuple[ms.Tensor, ...]:
    return _parts(held, -(-held.shape[dim] // chunks), dim)


def _expanded(held: ms.Tensor, *sizes: Any) -> ms.Tensor:
    return ops.broadcast_to(held, numbers(sizes))


TRACED = {
    "transpose": _swapped,
    "swapaxes": _swapped,
    "swapdims": _swapped,
    "narrow": _part,
    "select": _selected,
    "split": _parts,
    "chunk": _chunks,
    "expand": _expanded,
}
