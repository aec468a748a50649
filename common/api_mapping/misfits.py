"""Calls whose arguments do not fit each other: every row's first calls with one size of one tensor changed, an axis more
or less, or another whole number. What torch refuses MindSpore must refuse, and what torch computes it must give or refuse.

MindSpore's kernels broadcast, wrap around or write beyond their result where torch raises an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

from common.api_mapping.arrays import Array
from common.api_mapping.row import Case, Row, arrays_of, draw_all
from common.api_mapping.tolerance import compare

__all__ = ["accepted_or_different", "other_numbers", "other_shapes"]

CALLS = 2  #: of a row that are varied
STEPS = (2, 7, -3)  #: that are added to a whole number


def other_shapes(row: Row) -> Iterator[Case]:
    """Calls in which one tensor has another size along one axis, one axis fewer or one more."""
    for case in _calls(row):
        for position, array in enumerate(arrays_of(case)):
            for shape in _shapes(array.shape):
                yield _with_array(case, position, _reshaped(array, shape))


def other_numbers(row: Row) -> Iterator[Case]:
    """Calls in which one whole number among the arguments, of the constructor too, is another."""
    for case in _calls(row):
        parts = {"arguments": case.arguments, "keywords": dict(case.keywords), "setup": dict(case.setup)}
        for path, value in _numbers(parts):
            for other in sorted({value + step for step in STEPS} | {-value - 9, 0, -1} - {value}):
                yield replace(case, gradient=False, **_put(parts, path, other))


def accepted_or_different(
    row: Row,
    cases: Iterator[Case],
    function: Callable[..., Any],
    torch_backend: ModuleType,
    backend: ModuleType,
    before: Callable[[], None],
    counts: Counter[str] | None = None,
) -> Iterator[tuple[str, str]]:
    """The calls that torch refuses and MindSpore computes, or of which it computes something else; and what was said.

    Args:
        before: is called before each call of ``function``.
        counts: gets the number of calls by what came of them.
    """
    counts = Counter() if counts is None else counts
    for case in cases:
        try:
            arrays = draw_all(row, case)
        except Exception:  # a kind of array that cannot have this shape
            continue
        refused, wanted = "", []
        try:
            wanted = [
                torch_backend.run(torch_backend.resolve(row.name), row, case, arrays, double=double)
                for double in (False, True)
            ]
        except Exception as error:
            refused = str(error).partition("\n")[0] or type(error).__name__
        before()
        try:
            found = backend.run(function, row, case, arrays)
        except Exception:
            counts["both refuse" if refused else "refused"] += 1
            continue
        if refused:
            problem = f"torch refuses it: {refused}"
        else:
            problem = compare(found, wanted[0], wanted[1], row.tolerance).problem
        counts["accepted" if refused else "different" if problem else "equal"] += 1
        if problem:
            yield str(case), problem


def _calls(row: Row) -> list[Case]:
    return [case for case in row.cases if row.limit(case) is None][:CALLS]


def _shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for axis, size in enumerate(shape):
        for other in sorted({1, size + 1} - {size}):
            yield (*shape[:axis], other, *shape[axis + 1 :])
    if shape:
        yield shape[1:]
    yield (2, *shape)


def _reshaped(array: Array, shape: tuple[int, ...]) -> Array:
    """Given values become drawn ones, whole numbers 0 or 1."""
    if array.kind != "values":
        return replace(array, shape=shape, transposed=False)
    if array.differentiable or array.dtype.startswith("float"):
        return Array("normal", shape, array.dtype)
    return Array("integers", shape, array.dtype, 0, 2)


def _with_array(case: Case, position: int, new: Array) -> Case:
    """``new`` in the place of the array at ``position`` in the order of `arrays_of`."""
    places = iter(range(10**6))

    def changed(value: Any) -> Any:
        if isinstance(value, Array):
            return new if next(places) == position else value
        if isinstance(value, list | tuple):
            return type(value)(changed(item) for item in value)
        return {name: changed(item) for name, item in value.items()} if isinstance(value, dict) else value

    return replace(case, arguments=changed(case.arguments), keywords=changed(dict(case.keywords)), gradient=False)


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], int]]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _numbers(item, (*path, place))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, (*path, name))


def _put(value: Any, path: tuple[Any, ...], new: int) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {name: _put(item, path[1:], new) if name == path[0] else item for name, item in value.items()}
    return type(value)(_put(item, path[1:], new) if place == path[0] else item for place, item in enumerate(value))
