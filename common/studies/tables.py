"""How the tables of a study are laid out: the schema, for whoever renders them (`common.report`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from common.errors import InputError
from common.tasks import TASKS

__all__ = [
    "PublishedSection",
    "SelectSection",
    "TableSection",
    "higher_is_better",
    "table_problems",
    "unknown_axes",
]

_COLUMN: dict[str, type | tuple[type, ...]] = {
    "field": str,
    "name": str,
    "unit": str,
    "scale": (int, float),
    "digits": int,
}
_SCORED = ("validation", "test", "before")  #: parts of a summary that hold metrics
_SCALAR = (str, int, float, bool)


@dataclass(frozen=True)
class SelectSection:
    """Keep the best combination of axes for every value of ``per``, by the mean over seeds."""

    by: str  #: a field, as in columns
    per: tuple[str, ...] = ()  #: axes
    highest: bool | None = None  #: null: as the metric says


@dataclass(frozen=True)
class PublishedSection:
    """Figures of a publication, in the units that are shown."""

    match: dict[str, Any]  #: axis to value
    values: dict[str, Any]  #: field to number
    reason: str | None = None  #: why ours differ


@dataclass(frozen=True)
class TableSection:
    """One table."""

    title: str
    rows: tuple[str, ...]  #: axes, ``seed``, ``backend``; one row for each combination that occurs
    columns: Any  #: list of dotted paths into summary.json or of objects with field, name, unit, scale and digits
    where: dict[str, Any] | None = None  #: axis to value or values; absent: all points
    transpose: bool = False  #: one column for each combination, one row for each field
    select: SelectSection | None = None
    published: tuple[PublishedSection, ...] = ()
    reason: str | None = None  #: why ours differ, of the whole table


def higher_is_better(title: str, by: str, chosen: bool | None, task: str) -> bool:
    """Whether the best of a field is the highest: as ``chosen``, or as of the metric of ``task`` that it is.

    Raises:
        InputError: it is no metric, and nothing is chosen.
    """
    if chosen is not None:
        return chosen
    split, _, metric = by.partition(".")
    known = TASKS.get(task).metrics
    if split not in _SCORED or metric not in known:
        raise InputError(
            f"The table {title}: {by} is no metric of {task} such as validation.{next(iter(known))}, so that nothing says "
            "whether the best is the highest. Set select.highest to true or false."
        )
    return known[metric]


def table_problems(table: TableSection) -> Iterator[tuple[tuple[str, ...], str]]:
    """(place, what is wrong) for values of the right type that do not fit."""
    if not table.rows:
        yield ("rows",), "must name at least one axis"
    if not isinstance(table.columns, list) or not table.columns:
        yield ("columns",), f"must be a list of fields such as validation.accuracy; received {table.columns!r}"
        return
    problems = [(index, _column_problem(column)) for index, column in enumerate(table.columns)]
    for index, problem in problems:
        if problem is not None:
            yield ("columns", str(index)), problem
    if any(problem for _, problem in problems):
        return
    for axis, value in (table.where or {}).items():
        if not all(isinstance(one, _SCALAR) or one is None for one in (value if isinstance(value, list) else [value])):
            yield ("where", axis), f"must be a value or a list of values; received {value!r}"
    fields = {column["field"] if isinstance(column, dict) else column for column in table.columns}
    for index, entry in enumerate(table.published):
        for field, value in entry.values.items():
            if field not in fields:
                yield ("published", str(index), "values", field), "must be a field of the table's columns"
            elif isinstance(value, bool) or not isinstance(value, int | float):
                yield ("published", str(index), "values", field), f"must be a number; received {value!r}"


def unknown_axes(table: TableSection, known: Iterable[str]) -> list[str]:
    """The axes that a table names and that are not ``known``."""
    selected = table.select.per if table.select is not None else ()
    matched = (axis for entry in table.published for axis in entry.match)
    named = dict.fromkeys((*table.rows, *(table.where or {}), *selected, *matched))
    return [axis for axis in named if axis not in set(known)]


def _column_problem(column: Any) -> str | None:
    if isinstance(column, str):
        return None if column else "must not be empty"
    if not isinstance(column, dict) or not isinstance(column.get("field"), str):
        return f"must be a field such as validation.accuracy, or an object with one; received {column!r}"
    for key, value in column.items():
        if key not in _COLUMN:
            return f"{key} is unknown. Known: {', '.join(_COLUMN)}"
        if isinstance(value, bool) or not isinstance(value, _COLUMN[key]):
            return f"{key} has a value of another type: {value!r}"
    return None
