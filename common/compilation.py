"""How many graphs were compiled, and how long that took: a graph is compiled by the first call for every shape of its
inputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = ["SHAPES", "Compilations", "shapes_remark"]

SHAPES = 32  #: batch shapes of a training from which on it is said that each holds memory


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


def shapes_remark(shapes: Collection[tuple[int, ...]], multiple: int) -> str | None:
    """What to say when a graph was compiled for one batch shape more than `SHAPES`; None at any other number.

    Args:
        shapes: of the arrays of the batches so far, one after the other, and last how many tokens the longest row has.
        multiple: to which lengths are rounded up.
    """
    if len(shapes) != SHAPES + 1:
        return None
    longest = max(shape[-1] for shape in shapes)
    wider = multiple * max(2, -(-longest // (multiple * SHAPES // 4)))
    return (
        f"More than {SHAPES} batch shapes have been compiled, up to {longest} tokens long; the graphs of each stay in "
        f"memory to the end (about 27 MiB in MindSpore for a model of 22 million parameters). With "
        f"data.length_multiple: {wider} instead of {multiple} there are at most {-(-longest // wider)} lengths."
    )


def _key(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _key(part)) for name, part in value.items())
    if isinstance(value, bool):
        return value
    return tuple(value.shape) if hasattr(value, "shape") else None
