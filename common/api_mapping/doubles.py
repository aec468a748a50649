"""A float64 call for each row of a family: MindSpore rounds the Python numbers in an expression to float32, which only
float64 shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from common.api_mapping.arrays import Array
from common.api_mapping.row import Case, Row, arrays_of

__all__ = ["doubled"]


def doubled(rows: Iterable[Row], calls: int = 2) -> tuple[Row, ...]:
    """The rows, each with float64 copies of its first ``calls`` differentiable float32 cases; random rows stay as they
    are."""
    return tuple(row if row.stochastic else replace(row, cases=(*row.cases, *_copies(row, calls))) for row in rows)


def _copies(row: Row, calls: int) -> list[Case]:
    if any(array.dtype == "float64" for case in row.cases for array in arrays_of(case)):
        return []
    single = [
        case
        for case in row.cases
        if case.gradient and not row.limit(case) and any(array.dtype == "float32" for array in arrays_of(case))
    ]
    return [
        replace(case, arguments=_double(case.arguments), keywords=_double(dict(case.keywords)))
        for case in single[:calls]
    ]


def _double(value: Any) -> Any:
    if isinstance(value, Array):
        return replace(value, dtype="float64") if value.dtype == "float32" else value
    if isinstance(value, list | tuple):
        return type(value)(_double(item) for item in value)
    return {name: _double(item) for name, item in value.items()} if isinstance(value, Mapping) else value
