"""``x[index]`` and ``x[index] = value``."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ops

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.tensor import Tensor, lower
from mindspore_impl.torch_api.views import view_of

__all__ = ["getitem", "setitem"]


def _is_basic(index: Any) -> bool:
    return index is None or index is Ellipsis or (isinstance(index, (int, slice)) and not isinstance(index, bool))


def _place(index: Any) -> Any:
    """One index as MindSpore takes it."""
    if isinstance(index, Tensor):
        return index.raw
    if isinstance(index, slice):
        parts = [int(part) if isinstance(part, Tensor) else part for part in (index.start, index.stop, index.step)]
        if parts[2] is not None and parts[2] < 0:
            raise ValueError("step must be greater than zero")
        return slice(*parts)
    if isinstance(index, (list, range)) or hasattr(index, "__array__"):
        from mindspore_impl.torch_api.factories import tensor

        return tensor(list(index) if isinstance(index, range) else index).raw
    return index


def getitem(self: Tensor, index: Any) -> Tensor:
    given = index if isinstance(index, tuple) else (index,)
    basic = all(_is_basic(part) for part in given)
    places = tuple(_place(part) for part in given)
    _check_places(self, places)
    if basic:
        return view_of(self, lambda held: _taken(held, places))
    return Tensor(_taken(self.raw, places))


def _check_places(self: Tensor, places: tuple[Any, ...]) -> None:
    counted = [place for place in places if place is not None and place is not Ellipsis]
    masks = sum(place.ndim - 1 for place in counted if isinstance(place, ms.Tensor) and place.dtype == ms.bool_)
    used = len(counted) - sum(isinstance(place, bool) for place in counted) + masks
    if used > self.ndim:
        raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
    for axis, place in enumerate(places):
        if place is Ellipsis or isinstance(place, (bool, ms.Tensor)) or place is None:
            return
        if isinstance(place, int) and not -self.shape[axis] <= place < self.shape[axis]:
            raise IndexError(f"index {place} is out of bounds for dimension {axis} with size {self.shape[axis]}")


def _taken(held: ms.Tensor, places: tuple[Any, ...]) -> ms.Tensor:
    """``held[places]``; steps are taken by a gather, since the gradient of MindSpore's kernel for them fails."""
    steps = [place.step if isinstance(place, slice) and place.step not in (None, 1) else None for place in places]
    if not any(steps) or not all(map(_is_basic, places)):
        return _recorded(held[places] if len(places) != 1 else held[places[0]], held)
    found = held[tuple(slice(p.start, p.stop) if step else p for p, step in zip(places, steps, strict=True))]
    behind = places.index(Ellipsis) if Ellipsis in places else len(places)
    for number, step in enumerate(steps):
        if step and 0 not in found.shape:
            side = places[:number] if number < behind else places[number + 1 :]
            kept = sum(not isinstance(place, int) for place in side)
            axis = kept if number < behind else found.ndim - 1 - kept
            found = ops.gather(found, ms.Tensor(np.arange(0, found.shape[axis], step)), axis)
    return _recorded(found, held)


def _recorded(found: ms.Tensor, held: ms.Tensor) -> ms.Tensor:
    """An empty part of a tensor belongs to the recording too."""
    if found.size or not held.size or not held._requires_grad or found._requires_grad:
        return found
    return ops.zeros(found.shape, found.dtype) + held.sum() * 0


def setitem(self: Tensor, index: Any, value: Any) -> None:
    held = self.raw
    places = tuple(_place(part) for part in (index if isinstance(index, tuple) else (index,)))
    _check_places(self, places)
    value = lower(value)
    if not isinstance(value, ms.Tensor):
        value = ms.Tensor(value, held.dtype)
    if not held.size:
        return
    if len(places) == 1 and isinstance(places[0], ms.Tensor) and places[0].dtype == ms.bool_ and value.size == 1:
        mask = places[0]
        mask = ops.reshape(mask, mask.shape + (1,) * (held.ndim - mask.ndim))
        self.write(ops.where(mask, ops.reshape(value, ()).astype(held.dtype), held))
        return
    positions = _taken(ops.reshape(ops.arange(held.size), held.shape), places)
    if not positions.size:
        return
    while value.ndim > positions.ndim and value.shape[0] == 1:
        value = ops.reshape(value, value.shape[1:])
    value = ops.broadcast_to(value.astype(held.dtype), positions.shape)
    scatter = bound({"scatter": named("torch")["scatter"]})["scatter"]
    flat = scatter(ops.reshape(held, (-1,)), 0, ops.reshape(positions, (-1,)), ops.reshape(value, (-1,)))
    self.write(ops.reshape(flat, held.shape))
