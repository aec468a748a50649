"""Columns of a data set by what they are for, and how each is read and checked. A task names the roles it reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.data.classes import check_number_of_classes, class_name, is_integer
from common.data.readers import Table
from common.errors import InputError, nearest
from common.terminal import notice

__all__ = [
    "LABEL",
    "LABELS",
    "PROMPT",
    "SCORE",
    "TEXT",
    "TEXT_PAIR",
    "Reading",
    "Role",
    "class_names",
    "label_set_names",
    "read_classes",
    "read_label_sets",
    "read_scores",
    "read_texts",
]

_LONG = 1_000_000  #: characters of a text
LARGEST_SCORE = 1e18  #: beyond it the square of an error is not a float32


@dataclass(frozen=True)
class Reading:
    """What a reader knows besides the table."""

    accepted: tuple[str, ...]  #: column names, the first that is there is read
    roles: frozenset[str]  #: every role that the data set has
    label_names: tuple[str, ...] = ()  #: by index, where the task has classes
    numbered: tuple[str, ...] = ()  #: names by the number that data may give instead; empty where they may not
    unpublished: bool = False  #: whether the targets of this split may be missing
    marked: bool = True  #: whether -1 in every row says that they are
    blank: bool = False  #: whether a text may be empty
    label_separator: str | None = None  #: between several labels in one field


@dataclass(frozen=True)
class Role:
    """One column of a task."""

    name: str
    entry: str  #: of the data section, by which users name their own column
    read: Callable[[Table, Reading], list[Any]]  #: checked values; empty where targets may be unpublished and are
    required: bool = True
    target: bool = False


def read_texts(table: Table, reading: Reading, blank_lines: bool = False) -> list[str]:
    """Stripped texts; an empty one is an error unless the data may have some, or ``blank_lines``, where only the end is
    stripped."""
    texts = []
    for row, value in enumerate(table.column(reading.accepted)):
        if not isinstance(value, str) or not (value.strip() or blank_lines or reading.blank):
            raise InputError(
                f"{table.where(row)}: a text was expected in column {reading.accepted[-1]}; found {value!r}. "
                "Correct or remove the row."
            )
        if len(value) > _LONG:
            notice(f"{table.where(row)}: a text of {len(value):,} characters; making tokens of it takes a while.")
        texts.append(value.rstrip() if blank_lines else value.strip())
    return texts


def read_classes(table: Table, reading: Reading) -> list[int]:
    """Class indices; empty when labels may be unpublished and are (no column, or -1 throughout, as on the hub)."""
    if _unpublished(table, reading):
        return []
    indices, found = _indices(reading), []
    for row, value in enumerate(table.column(reading.accepted)):
        plain = isinstance(value, str | int | float)
        name = str(value).strip() if plain else ""
        if not plain or name not in indices:  # a class may be called 1.0 or 4.5, but only where it is named so
            name = class_name(table, row, value, reading.accepted[-1])
        if name not in indices:
            raise _unknown(table, row, name, reading)
        found.append(indices[name])
    return found


def read_scores(table: Table, reading: Reading) -> list[float]:
    """Finite numbers; empty when they may be unpublished and are."""
    if _unpublished(table, reading):
        return []
    return [_number(table, row, value, reading) for row, value in enumerate(table.column(reading.accepted))]


def read_label_sets(table: Table, reading: Reading) -> list[list[int]]:
    """For each example a 0 or 1 for every label; empty when labels may be unpublished and are."""
    if _unpublished(table, reading):
        return []
    indices = _indices(reading)
    rows = []
    for row, value in enumerate(table.column(reading.accepted)):
        found = [0] * len(reading.label_names)
        for label in label_set(table, row, value, reading.accepted[-1], reading.label_separator):
            if label not in indices:
                raise _unknown(table, row, label, reading)
            found[indices[label]] = 1
        rows.append(found)
    return rows


def label_set(table: Table, row: int, value: Any, column: str, separator: str | None) -> list[str]:
    """The labels of one example: a list, or text with a separator between them; both may be empty.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, str) and separator is not None:
        parts = [part.strip() for part in value.split(separator)] if value.strip() else []
        if all(parts):
            return parts
        raise InputError(
            f"{table.where(row)}: labels were expected between the separators {separator!r} in column {column}; "
            f"found {value!r}. Remove the separator that nothing follows, or correct data.label_separator."
        )
    if isinstance(value, list) and all(isinstance(label, str | int) and type(label) is not bool for label in value):
        return [str(label).strip() for label in value]
    raise InputError(
        f"{table.where(row)}: a list of labels was expected in column {column}; found {value!r}. "
        "Write lists in .jsonl or .parquet files, or name the separator of a text file in data.label_separator."
    )


def _unpublished(table: Table, reading: Reading) -> bool:
    """Whether a split without published targets has none: no column, nothing in it, or -1 in every row, as on the
    hub."""
    if not reading.unpublished:
        return False
    if set(reading.accepted).isdisjoint(table.columns):
        return True
    values = table.column(reading.accepted)
    if all(value is None or value == "" for value in values):
        return True
    return reading.marked and all(str(value) in ("-1", "-1.0") for value in values)


def _indices(reading: Reading) -> dict[str, int]:
    """Class index by every way in which a class may be written."""
    numbers = {str(number): reading.label_names.index(name) for number, name in enumerate(reading.numbered)}
    return numbers | {label: i for i, label in enumerate(reading.label_names)}


def _unknown(table: Table, row: int, label: str, reading: Reading) -> InputError:
    names = reading.label_names
    return InputError(
        f"{table.where(row)}: the label must be one of {', '.join(names)}; found {label!r}.{nearest(label, names)}"
    )


def _number(table: Table, row: int, value: Any, reading: Reading) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) > LARGEST_SCORE:
        raise InputError(
            f"{table.where(row)}: a finite number was expected in column {reading.accepted[-1]}; found {value!r}. "
            "Correct or remove the row, or set model.task to a task with classes."
        )
    return number


def class_names(tables: Sequence[Table], accepted: Sequence[str]) -> tuple[str, ...]:
    """Sorted distinct training labels, numerically if all are integers.

    Raises:
        InputError: there are fewer than two, a value is no class, or they look like scores or free text.
    """
    found = {
        class_name(table, row, value, accepted[-1])
        for table in tables
        for row, value in enumerate(table.column(accepted))
    } - {""}
    if len(found) < 2:
        raise InputError(
            f"Classification needs at least two labels; column {accepted[0]} of {tables[0].source} has "
            f"{', '.join(sorted(found)) or 'none'}."
        )
    check_number_of_classes(_sorted(found), tables, accepted[-1])
    return _sorted(found)


def label_set_names(tables: Sequence[Table], accepted: Sequence[str], separator: str | None) -> tuple[str, ...]:
    """Sorted distinct labels of the training split's label sets.

    Raises:
        InputError: there is none.
    """
    found = {
        label
        for table in tables
        for row, value in enumerate(table.column(accepted))
        for label in label_set(table, row, value, accepted[-1], separator)
    }
    if not found:
        raise InputError(
            f"Column {accepted[-1]} of {tables[0].source} holds no label. Give data.label_names, or other data."
        )
    return _sorted(found)


def _sorted(names: Collection[str]) -> tuple[str, ...]:
    """Numerically if all are integers."""
    numeric = all(map(is_integer, names))
    return tuple(sorted(names, key=lambda name: (int(name), name) if numeric else name))


TEXT = Role("text", "text_column", read_texts)
TEXT_PAIR = Role("text_pair", "text_pair_column", read_texts, required=False)
PROMPT = Role("prompt", "prompt_column", read_texts, required=False)
LABEL = Role("label", "label_column", read_classes, target=True)
LABELS = Role("labels", "label_column", read_label_sets, target=True)
SCORE = Role("score", "label_column", read_scores, target=True)
DEFAULT_COLUMNS: Mapping[str, str] = {TEXT.name: "text", "words": "tokens"}  #: column names that users need not give
