"""Inputs that no row chose: every row's first calls with other dtypes, NaN, empty and 0-d tensors. MindSpore must give
what torch gives or raise an error.

A row's own cases can be written around a fault without anybody noticing; these are derived by rule, so they cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

from common.api_mapping.arrays import Array, draw
from common.api_mapping.row import Case, Row, arrays_of, draw_all
from common.api_mapping.tolerance import compare

__all__ = ["derived", "silently_different"]

CALLS = 2  #: of a row that are varied
NAN = float("nan")
ENDS = ("torch.prelu", "torch.nn.functional.prelu")  #: both libraries' kernels end the process over an empty weight


def derived(row: Row) -> Iterator[Case]:
    """Variants of the row's first calls that take floating point tensors, without gradients."""
    seen = {str(case) for case in row.cases}
    varied = [
        case
        for case in row.cases
        if row.limit(case) is None and any(array.dtype == "float32" for array in arrays_of(case))
    ]
    for case in varied[:CALLS]:
        for made in _variants(row, case):
            if str(made) not in seen:
                seen.add(str(made))
                yield made


def silently_different(
    row: Row, function: Callable[..., Any], torch_backend: ModuleType, backend: ModuleType, before: Callable[[], None]
) -> Iterator[tuple[str, str]]:
    """The derived calls to which torch and MindSpore both have an answer, but not the same: the call and the
    difference.

    ``before`` is called before each call of ``function``.
    """
    for case in derived(row):
        try:
            arrays = draw_all(row, case)  # a kind of array may need axes
            expected, exact = (
                torch_backend.run(torch_backend.resolve(row.name), row, case, arrays, double=double)
                for double in (False, True)
            )
            before()
            found = backend.run(function, row, case, arrays)
        except Exception:  # one of them refuses it
            continue
        problem = compare(found, expected, exact, row.tolerance).problem
        if problem:
            yield str(case), problem


def _variants(row: Row, case: Case) -> Iterator[Case]:
    for dtype in ("float16", "float64"):
        yield _changed(case, partial(_of_dtype, dtype=dtype))
    for dtype in ("uint8", "int32"):
        yield _changed(
            case,
            partial(_integers, dtype=dtype),
        )
    yield _changed(case, _with_nan(row, case))
    if row.name in ENDS:
        return
    for size in sorted({size for array in arrays_of(case) for size in array.shape if size > 1}):
        yield _changed(case, partial(_resized, size=size))
    yield _changed(case, lambda array: replace(array, shape=(), data=array.data[:1], transposed=False))


def _of_dtype(array: Array, dtype: str) -> Array:
    return replace(array, dtype=dtype) if _floats(array) else array


def _integers(array: Array, dtype: str) -> Array:
    return Array("integers", array.shape, dtype, 0, 5) if _floats(array) else array


def _floats(array: Array) -> bool:
    return array.dtype == "float32"


def _with_nan(row: Row, case: Case) -> Callable[[Array], Array]:
    """NaN as the first and the middle element of every floating point tensor."""

    def change(array: Array) -> Array:
        if not _floats(array):
            return array
        flat = draw(array, f"{row.name}|{case}|derived").ravel().tolist()
        for place in {0, len(flat) // 2} if flat else ():
            flat[place] = NAN
        return replace(array, kind="values", data=tuple(flat))

    return change


def _resized(array: Array, size: int) -> Array:
    """Without elements along every axis of this size."""
    shape = tuple(0 if length == size else length for length in array.shape)
    return replace(array, shape=shape, data=() if 0 in shape else array.data)


def _changed(case: Case, change: Callable[[Array], Array]) -> Case:
    return replace(
        case, arguments=_mapped(case.arguments, change), keywords=_mapped(dict(case.keywords), change), gradient=False
    )


def _mapped(value: Any, change: Callable[[Array], Array]) -> Any:
    if isinstance(value, Array):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, change) for item in value)
    return {name: _mapped(item, change) for name, item in value.items()} if isinstance(value, dict) else value
