"""What is a class: one value of a label column as its name, by its type. What is none is refused with its line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from common.data.readers import Table
from common.errors import InputError

__all__ = ["check_number_of_classes", "class_name", "is_integer"]

MANY = 30  #: up to so many classes are never questioned
MOST = 10_000  #: more classes than this must be named in data.label_names
_INTEGER = re.compile(r"[+-]?\d{1,100}")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_FIX = "Correct or remove the row"


def class_name(table: Table, row: int, value: Any, column: str) -> str:
    """The name of the class that ``value`` is: stripped text, or a number; 1.0 is the class 1.

    Raises:
        InputError: it is no class: missing, not a number, a fraction (a score), a list (several labels) or an object.

    Example:
        >>> class_name(Table("train.json", {}, [1]), 0, 1.0, "label")
        '1'
    """
    if isinstance(value, str):
        text = value.strip()
        if _is_list(text):
            raise _refused(table, row, value, column, "it is a list of labels", _tasks("labels"))
        whole = _WHOLE.fullmatch(text)
        return whole[1] if whole else text
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        if value.is_integer():
            return str(int(value))
        raise _refused(table, row, value, column, "it looks like a score", _tasks("score"))
    if isinstance(value, list | tuple):
        raise _refused(table, row, value, column, "it is a list of labels", _tasks("labels"))
    missing = value is None or isinstance(value, float)
    raise _refused(table, row, value, column, "it is missing" if missing else f"it is a {type(value).__name__}", "")


def check_number_of_classes(names: Sequence[str], tables: Sequence[Table], column: str) -> None:
    """Refuse what looks like scores or like free text.

    Args:
        names: the distinct values of ``column`` in the training split.

    Raises:
        InputError: all are numbers and some are fractions, or there are too many for the number of examples.
    """
    source, rows, keep = tables[0].source, sum(map(len, tables)), "list them in data.label_names"
    numbers = {name: _number(name) for name in names}
    fractions = [name for name, number in numbers.items() if number is not None and not number.is_integer()]
    if fractions and None not in numbers.values():
        raise InputError(
            f"The labels of a classification are classes; column {column} of {source} holds numbers such as "
            f"{fractions[0]}, which look like scores. Set model.task to {_tasks('score')}; if they are classes, {keep}."
        )
    if len(names) > MOST or (len(names) > MANY and 2 * len(names) > rows):
        raise InputError(
            f"Every class needs examples; column {column} of {source} holds {len(names)} different labels in {rows} "
            f"rows, such as {', '.join(map(repr, sorted(names)[:3]))}. Is it the right data.label_column? If they are "
            f"classes, {keep}."
        )


def is_integer(name: str) -> bool:
    """Whether a name is a number that can be sorted by value; ``--1`` is none, and neither are thousands of digits."""
    return _INTEGER.fullmatch(name) is not None


def _refused(table: Table, row: int, value: Any, column: str, why: str, tasks: str) -> InputError:
    shown = json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | tuple) else repr(value)
    advice = f"Set model.task to {tasks}, or correct the row" if tasks else _FIX
    return InputError(
        f"{table.where(row)}: the name or number of one class was expected in column {column}; found {shown}: {why}. "
        f"{advice}."
    )


def _is_list(text: str) -> bool:
    if not (text.startswith("[") and text.endswith("]")):
        return False
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _number(name: str) -> float | None:
    try:
        number = float(name)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _tasks(role: str) -> str:
    """The tasks that read ``role``."""
    from common.tasks import TASKS

    return " or ".join(task.name for task in TASKS if any(other.name == role for other in task.roles))
