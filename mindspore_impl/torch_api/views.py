"""Views: tensors that share the memory of another. They are read anew after a write into their base, and a write into
them puts the new values into the base, with the gradient of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import ops

from mindspore_impl.mapping import resolve
from mindspore_impl.torch_api.tensor import Tensor, tape

__all__ = ["View", "view_of", "views_of"]


class View:
    """How a view comes from its base: ``function(base)``, of whose results it is number ``place``."""

    __slots__ = ("base", "function", "may_copy", "place", "seen")

    def __init__(
        self, base: Tensor, function: Callable[[ms.Tensor], Any], place: int | None = None, may_copy: bool = False
    ):
        self.base, self.function, self.place, self.seen, self.may_copy = base, function, place, base._version, may_copy

    def take(self, held: ms.Tensor) -> ms.Tensor:
        """The view of another value of the base."""
        found = self.function(held)
        return found if self.place is None else found[self.place]

    def read(self, tensor: Tensor) -> ms.Tensor:
        """The view's value, taken again if the base was written."""
        base = self.base
        now = base._held if base._source is None else base._source.read(base)
        if base._version != self.seen:
            if self._is_copy(tensor):
                return tensor._held
            recorded = tape.enable_grad()
            tape.set_enable_grad(True)  # a view belongs to the recording whoever looks first
            try:
                tensor._held = self.take(now)
            finally:
                tape.set_enable_grad(recorded)
            self.seen = base._version
            tensor._version += 1
        return tensor._held

    def _is_copy(self, tensor: Tensor) -> bool:
        """Whether torch would have copied, as `reshape` does where strides allow no view; then the ties are cut."""
        if not self.may_copy:
            return False
        self.may_copy = False
        if not isinstance(self.base._source, View):
            return False
        places = np.asarray(_positions(self.base).asnumpy())
        strides = tuple(
            int(np.take(places, 1, axis).flat[0] - places.flat[0]) if size > 1 else 1
            for axis, size in enumerate(places.shape)
        )
        laid = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), places.shape, strides)
        try:
            laid.shape = tuple(tensor._held.shape)
        except AttributeError:
            tensor._source = None
            return True
        return False

    def write(self, tensor: Tensor, value: ms.Tensor) -> None:
        """Put ``value`` into the base.

        Raises:
            RuntimeError: elements of the view share memory, as after ``expand``.
        """
        if self._is_copy(tensor):
            tensor._held = value
            return
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


def _positions(tensor: Tensor) -> ms.Tensor:
    """Where the elements lie in the memory of the tensor that is no view."""
    source = tensor._source
    if isinstance(source, View):
        return source.take(_positions(source.base))
    held = tensor.raw
    return ops.reshape(ops.arange(held.size), held.shape)


def view_of(base: Tensor, function: Callable[[ms.Tensor], ms.Tensor], may_copy: bool = False) -> Tensor:
    """The tensor ``function(base)``, as a view; with ``may_copy`` a copy where strides allow no view."""
    return Tensor(function(base.raw), View(base, function, None, may_copy))


def views_of(base: Tensor, function: Callable[[ms.Tensor], Any]) -> tuple[Tensor, ...]:
    """The tensors that ``function(base)`` gives, as views."""
    return tuple(Tensor(part, View(base, function, place)) for place, part in enumerate(function(base.raw)))
