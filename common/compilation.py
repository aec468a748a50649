"""How many graphs were compiled, and how long that took: a graph is compiled by the first call for every shape of its
inputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Compilations"]


class Compilations:
    """Counts and times the first calls of the functions that it watches. A first call computes as well; that is small
    beside compiling and is counted too."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function; its calls are distinguished by the shapes of tensors, in mappings too, and by the values
        of flags."""
        seen: set[tuple] = set()

        def watched(*args: Any) -> Any:
            key = tuple(map(_key, args))
            if key in seen:
                return function(*args)
            begun = time.perf_counter()
            found = function(*args)
            self.seconds += time.perf_counter() - begun
            self.count += 1
            seen.add(key)
            return found

        return watched


def _key(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _key(part)) for name, part in value.items())
    if isinstance(value, bool):
        return value
    return tuple(value.shape) if hasattr(value, "shape") else None
