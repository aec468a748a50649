"""The tables that a study lays out, filled from its records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.report.elements import measure
from common.report.study.records import TRIAL, Record, Study, combination, key_of
from common.report.study.statistics import mean, spread
from common.studies.tables import higher_is_better

__all__ = ["Cell", "Column", "Table", "fill", "layouts", "selected", "shown"]

NONE = "\u2013"


@dataclass(frozen=True)
class Column:
    """A field as it is shown."""

    field: str
    name: str
    scale: float = 1.0
    digits: int | None = None

    @classmethod
    def of(cls, given: Any) -> Column:
        """A field's name, or an object with ``field``, ``name``, ``unit``, ``scale`` and ``digits``."""
        if isinstance(given, str):
            return cls(given, given.replace("_", " ").replace(".", " "))
        name = given.get("name", given["field"]) + (f", {given['unit']}" if given.get("unit") else "")
        return cls(given["field"], name, given.get("scale", 1.0), given.get("digits"))

    def text(self, value: Any) -> str:
        """One value."""
        if value is None or isinstance(value, bool | str | list | tuple | dict):
            return NONE if value is None else str(value)
        if self.digits is not None:
            return f"{value:,.{self.digits}f}"
        return measure(int(value) if float(value).is_integer() and abs(value) < 1e15 else float(value))


@dataclass(frozen=True)
class Cell:
    """The values of one field over the runs of one row, and what was published."""

    column: Column
    values: tuple[Any, ...]  #: scaled numbers, or anything else as it is
    planned: int | None  #: runs, in the cell that says so where some are missing
    published: float | None = None

    @property
    def text(self) -> str:
        """Mean and standard deviation, and how many runs there are where some are missing."""
        numbers = [value for value in self.values if isinstance(value, int | float) and not isinstance(value, bool)]
        if not numbers:
            texts = dict.fromkeys(self.column.text(value) for value in self.values)
            return ", ".join(texts) or NONE
        around = spread(numbers)
        text = self.column.text(numbers[0] if len(set(numbers)) == 1 else mean(numbers))
        if around is not None and len(set(numbers)) > 1:
            digits = self.column.digits
            text += f" \u00b1 {_alike(around, text) if digits is None else f'{around:,.{digits}f}'}"
        return text if self.planned in (None, len(self.values)) else f"{text} ({len(self.values)} of {self.planned})"

    @property
    def reference(self) -> str:
        """The published figure."""
        return NONE if self.published is None else self.column.text(self.published)


def _alike(value: float, text: str) -> str:
    """``value`` with as many decimals as the number in ``text``; in its own way where that is in scientific notation or
    has none."""
    decimals = len(text.partition(".")[2])
    return measure(value) if "e" in text or not decimals else f"{value:,.{decimals}f}"


@dataclass(frozen=True)
class Table:
    """A table ready to be written: texts in rows, the first columns naming the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    naming: int  #: leading columns that name the row
    notes: tuple[str, ...] = ()


def shown(name: str) -> str:
    """The last part of an axis's path, as a heading."""
    return name.rpartition(".")[2].replace("_", " ")


def layouts(study: Study) -> Sequence[Mapping[str, Any]]:
    """The tables of the definition; one of everything where it has none."""
    if study.tables:
        return study.tables
    rows = [axis for axis in study.axes if any(axis in record.label for record in study.records)]
    if len({record.point["backend"] for record in study.records}) > 1:
        rows.append("backend")
    tested = any((record.summary or {}).get("test") for record in study.records)
    columns = [f"validation.{study.metric}", *([f"test.{study.metric}"] if tested else []), "steps", "trainable.total"]
    return [
        {"title": "All runs", "rows": rows or ["seed"], "columns": [*columns, "seconds.total", "peak_memory_bytes"]}
    ]


def selected(records: Sequence[Record], by: str, per: Sequence[str], highest: bool = True) -> list[Record]:
    """Of every value of ``per`` the records of the best combination, by the mean of ``by`` over seeds and backends; of
    equal ones the first."""
    groups: dict[tuple[Any, ...], dict[Any, list[Record]]] = {}
    for record in records:
        groups.setdefault(key_of(record, per), {}).setdefault(combination(record), []).append(record)
    kept: list[Record] = []
    for members in groups.values():
        scored = {
            one: [value for value in (record.value(by) for record in found) if isinstance(value, int | float)]
            for one, found in members.items()
        }
        scored = {one: values for one, values in scored.items() if values}
        if scored:
            pick = max if highest else min
            means = {one: mean(values) for one, values in scored.items()}
            kept += members[pick(means, key=means.__getitem__)]
    return kept


def _fits(record: Record, where: Mapping[str, Any] | None) -> bool:
    wanted = {name: value if isinstance(value, list) else [value] for name, value in (where or {}).items()}
    return all(record.value(name) in values for name, values in wanted.items())


def fill(study: Study, layout: Mapping[str, Any]) -> Table:
    """One table of the definition."""
    records = [record for record in study.records if TRIAL not in record.label and _fits(record, layout.get("where"))]
    select = layout.get("select")
    if select:
        records = selected(records, select["by"], select.get("per") or (), _highest(records, layout["title"], select))
    names, columns = layout["rows"], [Column.of(one) for one in layout["columns"]]
    rows = {key: _of(records, names, key) for key in _ordered(study, records, names)}
    cells = {
        key: [_cell(column, members, layout, index == 0) for index, column in enumerate(columns)]
        for key, members in rows.items()
    }
    compared = [any(row[index].published is not None for row in cells.values()) for index in range(len(columns))]
    merged = _merged(study, names, rows.values())
    notes = [f"Figures are means over the runs of a row, which differ in {', '.join(merged)} too."] if merged else []
    notes += [] if not layout.get("reason") else [f"Why these differ from the published: {layout['reason']}"]
    for key, members in rows.items():
        notes += [
            f"{_named(names, key)}: {entry['reason']}" for entry in _published(layout, members) if entry.get("reason")
        ]
    head, body = _grid(names, columns, cells, compared)
    if layout.get("transpose"):
        head, body = _transposed(names, head, body)
        return Table(layout["title"], head, body, 1, tuple(dict.fromkeys(notes)))
    return Table(layout["title"], head, body, len(names), tuple(dict.fromkeys(notes)))


def _highest(records: Sequence[Record], title: str, select: Mapping[str, Any]) -> bool:
    """Whether the best is the highest; of no finished run there is none."""
    summaries = (record.summary for record in records if record.summary is not None)
    tasks = [summary["settings"]["model"]["task"] for summary in summaries]
    return not tasks or higher_is_better(title, select["by"], select.get("highest"), tasks[0])


def _of(records: Iterable[Record], names: Sequence[str], key: tuple[Any, ...]) -> list[Record]:
    return [record for record in records if key_of(record, names) == key]


def _merged(study: Study, names: Sequence[str], rows: Iterable[Sequence[Record]]) -> list[str]:
    """What the runs of some row differ in besides their seeds."""
    finished = [[record for record in members if record.summary is not None] for members in rows]
    others = [name for name in (*study.axes, "backend") if name not in names]
    return [shown(name) for name in others if any(len({record.value(name) for record in row}) > 1 for row in finished)]


def _ordered(study: Study, records: Sequence[Record], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows in the order of the axes' values; what is no axis as it occurs."""
    found = list(dict.fromkeys(key_of(record, names) for record in records))

    def place(key: tuple[Any, ...]) -> tuple[int, ...]:
        places = []
        for name, value in zip(names, key, strict=True):
            values = list(study.axes.get(name, ())) or list(dict.fromkeys(record.value(name) for record in records))
            places.append(values.index(value) if value in values else -1)
        return tuple(places)

    return sorted(found, key=place)


def _cell(column: Column, records: Sequence[Record], layout: Mapping[str, Any], counts: bool) -> Cell:
    values = [record.value(column.field) for record in records if record.summary is not None]
    scaled = tuple(
        value * column.scale if isinstance(value, int | float) and not isinstance(value, bool) else value
        for value in values
        if value is not None
    )
    published = next(
        (entry["values"][column.field] for entry in _published(layout, records) if column.field in entry["values"]),
        None,
    )
    return Cell(column, scaled, len(records) if counts else None, published)


def _published(layout: Mapping[str, Any], records: Sequence[Record]) -> list[Mapping[str, Any]]:
    entries = layout.get("published") or ()
    return [entry for entry in entries if records and all(_fits(record, entry["match"]) for record in records)]


def _named(names: Sequence[str], key: tuple[Any, ...]) -> str:
    return ", ".join(
        f"{shown(name)} {NONE if value is None else value}" for name, value in zip(names, key, strict=True)
    )


def _grid(
    names: Sequence[str],
    columns: Sequence[Column],
    cells: Mapping[tuple[Any, ...], list[Cell]],
    compared: Sequence[bool],
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    head = [shown(name) for name in names]
    for column, both in zip(columns, compared, strict=True):
        head += [column.name, f"{column.name} (published)"] if both else [column.name]
    body = []
    for key, row in cells.items():
        texts = [NONE if value is None else str(value) for value in key]
        for cell, both in zip(row, compared, strict=True):
            texts += [cell.text, cell.reference] if both else [cell.text]
        body.append(tuple(texts))
    return tuple(head), tuple(body)


def _transposed(
    names: Sequence[str], head: Sequence[str], body: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """One column for each row; the names of the rows become its first rows' heading."""
    count = len(names)
    top = ("", *(", ".join(row[:count]) for row in body))
    rows = [(head[index], *(row[index] for row in body)) for index in range(count, len(head))]
    return ((", ".join(head[:count]), *top[1:]), tuple(rows))
