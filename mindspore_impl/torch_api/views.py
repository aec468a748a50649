"""Views: tensors that share the memory of another. They are read anew after a write into their base, and a write into
them puts the new values into the base, with the gradient of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore import ops

from mindspore_impl.mapping import resolve
from mindspore_impl.torch_api.tensor import Tensor, tape

__all__ = ["View", "view_of", "views_of"]


class View:
    """How a view comes from its base: ``function(base)``, of whose results it is number ``place``."""

    __slots__ = ("base", "function", "place", "seen")

    def __init__(self, base: Tensor, function: Callable[[ms.Tensor], Any], place: int | None = None):
        self.base, self.function, self.place, self.seen = base, function, place, base._version

    def take(self, held: ms.Tensor) -> ms.Tensor:
        """The view of another value of the base."""
        found = self.function(held)
        return found if self.place is None else found[self.place]

    def read(self, tensor: Tensor) -> ms.Tensor:
        """The view's value, taken again if the base was written."""
        base = self.base
        now = base._held if base._source is None else base._source.read(base)
        if base._version != self.seen:
            recorded = tape.enable_grad()
            tape.set_enable_grad(True)  # a view belongs to the recording whoever looks first
            try:
                tensor._held = self.take(now)
            finally:
                tape.set_enable_grad(recorded)
            self.seen = base._version
            tensor._version += 1
        return tensor._held

    def write(self, tensor: Tensor, value: ms.Tensor) -> None:
        """Put ``value`` into the base.

        Raises:
            RuntimeError: elements of the view share memory, as after ``expand``.
        """
        base = self.base.raw
        positions = self.take(ops.reshape(ops.arange(base.size), base.shape))
        if positions.size > base.size:
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                "location. Please clone() the tensor before performing the operation."
            )
        if base.size:
            scatter = resolve("shim.scatter")
            flat = scatter(ops.reshape(base, (-1,)), 0, ops.reshape(positions, (-1,)), ops.reshape(value, (-1,)))
            self.base.write(ops.reshape(flat, base.shape))
        tensor._held, self.seen = value, self.base._version


def view_of(base: Tensor, function: Callable[[ms.Tensor], ms.Tensor]) -> Tensor:
    """The tensor ``function(base)``, as a view."""
    return Tensor(function(base.raw), View(base, function))


def views_of(base: Tensor, function: Callable[[ms.Tensor], Any]) -> tuple[Tensor, ...]:
    """The tensors that ``function(base)`` gives, as views."""
    return tuple(Tensor(part, View(base, function, place)) for place, part in enumerate(function(base.raw)))
