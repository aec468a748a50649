"""Columns of a data set by what they are for, and how each is read and checked. A task names the roles it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.data.readers import Table
from common.errors import InputError, nearest

__all__ = ["LABEL", "PROMPT", "TEXT", "TEXT_PAIR", "Reading", "Role", "class_names", "read_classes", "read_texts"]


@dataclass(frozen=True)
class Reading:
    """What a reader knows besides the table."""

    accepted: tuple[str, ...]  #: column names, the first that is there is read
    roles: frozenset[str]  #: every role that the data set has
    label_names: tuple[str, ...] = ()  #: by index, where the task has classes
    numbered: bool = False  #: whether the classes are also known by their index
    unpublished: bool = False  #: whether the targets of this split may be missing


@dataclass(frozen=True)
class Role:
    """One column of a task."""

    name: str
    entry: str  #: of the data section, by which users name their own column
    read: Callable[[Table, Reading], list[Any]]  #: checked values; empty where targets may be unpublished and are
    required: bool = True
    target: bool = False


def read_texts(table: Table, reading: Reading, blank_lines: bool = False) -> list[str]:
    """Stripped texts; an empty one is an error unless ``blank_lines``, where only the end is stripped."""
    texts = []
    for row, value in enumerate(table.column(reading.accepted)):
        if not isinstance(value, str) or not (value.strip() or blank_lines):
            raise InputError(
                f"{table.where(row)}: a text was expected in column {reading.accepted[-1]}; found {value!r}. "
                "Correct or remove the row."
            )
        texts.append(value.rstrip() if blank_lines else value.strip())
    return texts


def read_classes(table: Table, reading: Reading) -> list[int]:
    """Class indices; empty when labels may be unpublished and are (no column, or -1 throughout, as on the hub)."""
    if reading.unpublished and set(reading.accepted).isdisjoint(table.columns):
        return []
    names = reading.label_names
    values = [str(value) for value in table.column(reading.accepted)]
    if reading.unpublished and set(values) == {"-1"}:
        return []
    indices = {str(i): i for i in range(len(names))} if reading.numbered else {}
    indices |= {label: i for i, label in enumerate(names)}
    for row, value in enumerate(values):
        if value not in indices:
            raise InputError(
                f"{table.where(row)}: the label must be one of {', '.join(names)}; found {value!r}."
                f"{nearest(value, names)}"
            )
    return [indices[value] for value in values]


def class_names(tables: Sequence[Table], accepted: Sequence[str]) -> tuple[str, ...]:
    """Sorted distinct training labels, numerically if all are integers.

    Raises:
        InputError: there are fewer than two.
    """
    found = {str(value) for table in tables for value in table.column(accepted)} - {"", "None"}
    if len(found) < 2:
        raise InputError(
            f"Classification needs at least two labels; column {accepted[0]} of {tables[0].source} has "
            f"{', '.join(sorted(found)) or 'none'}."
        )
    numeric = all(name.lstrip("-").isdecimal() for name in found)
    return tuple(sorted(found, key=lambda name: (int(name), name) if numeric else name))


TEXT = Role("text", "text_column", read_texts)
TEXT_PAIR = Role("text_pair", "text_pair_column", read_texts, required=False)
PROMPT = Role("prompt", "prompt_column", read_texts, required=False)
LABEL = Role("label", "label_column", read_classes, target=True)
DEFAULT_COLUMNS: Mapping[str, str] = {TEXT.name: "text", "words": "tokens"}  #: column names that users need not give
