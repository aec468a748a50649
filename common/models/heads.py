"""Where a model's task head comes from: which rows of a checkpoint's output are which class, and what is said of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["INITIALISED", "LOADED", "PARTLY", "REORDERED", "HeadOrigin", "Rows", "match_rows", "origin_of", "take_rows"]

LOADED, REORDERED, PARTLY, INITIALISED = "loaded", "reordered", "partly loaded", "newly initialised"
_PLACEHOLDER = re.compile(r"LABEL_\d+$")  #: how ``transformers`` names the classes of a config.json that names none


@dataclass(frozen=True)
class HeadOrigin:
    """What a user should know of the head of a model."""

    state: str = INITIALISED  #: LOADED, REORDERED, PARTLY or INITIALISED
    reason: str = ""
    new: tuple[str, ...] = ()  #: paths of its modules that the checkpoint lacks

    def __str__(self) -> str:
        """One line."""
        reason = f": {self.reason}" if self.reason else ""
        lacking = f"; the checkpoint lacks {', '.join(self.new)}, newly initialised" if self.new else ""
        return f"head {self.state}{reason}{lacking}"

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"state": self.state, "reason": self.reason, "new": list(self.new)}


@dataclass(frozen=True)
class Rows:
    """For every class of the model the row of the checkpoint's output that belongs to it; None where there is none."""

    rows: tuple[int | None, ...]
    state: str
    reason: str


def match_rows(given: Mapping[str, Any], labels: Sequence[str] | None, held: int, outputs: int) -> Rows:
    """Match a checkpoint's classes to the model's by their names, whatever their order and case.

    Placeholders (``LABEL_0``) and missing names can only be matched by index, which is done where the counts agree.

    Args:
        given: the checkpoint's config.json.
        labels: names of the model's classes by index; None for a task without classes.
        held: rows of the checkpoint's output.
        outputs: rows of the model's.

    Example:
        >>> match_rows({"id2label": {"0": "pos", "1": "neg"}}, ("neg", "pos"), 2, 2).rows
        (1, 0)
    """
    nothing = (None,) * outputs
    by_index = tuple(range(outputs))
    if labels is None:
        if held == outputs:
            return Rows(by_index, LOADED, "")
        return Rows(nothing, INITIALISED, f"the checkpoint has {held} outputs, the task {outputs}")
    names = _names(given, held)
    numbers = {} if names is None else _numbers(names, labels)
    rows = tuple(numbers.get(_key(label, names or (), labels)) for label in labels)
    if names is not None and rows != nothing:
        return _by_name(names, labels, rows)
    if names is not None and not all(map(_PLACEHOLDER.match, names)):
        classes = f"the checkpoint's classes {_listed(names)} are none of {_listed(labels)}"
        return Rows(nothing, INITIALISED, classes)
    if held == outputs:
        order = f"by index, since the checkpoint does not name its classes; check that they are {_listed(labels)}"
        return Rows(by_index, LOADED, order)
    return Rows(nothing, INITIALISED, f"the checkpoint has {held} unnamed classes, the data {outputs}")


def _by_name(names: Sequence[str], labels: Sequence[str], rows: tuple[int | None, ...]) -> Rows:
    lacking = [label for label, row in zip(labels, rows, strict=True) if row is None]
    if lacking:
        return Rows(rows, PARTLY, f"the checkpoint's classes {_listed(names)} lack {_listed(lacking)}")
    if rows == tuple(range(len(names))):
        return Rows(rows, LOADED, "")
    return Rows(rows, REORDERED, f"the checkpoint's classes {_listed(names)} became {_listed(labels)}")


def _names(given: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    """The checkpoint's class names by row; None where config.json does not name every row once."""
    entry = given.get("id2label")
    if not isinstance(entry, Mapping) or {str(key) for key in entry} != {str(row) for row in range(count)}:
        return None
    named = {int(key): name for key, name in entry.items()}
    names = tuple(str(named[row]).strip() for row in range(count))
    return names if len(set(names)) == count else None


def _numbers(names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    return {_key(name, names, labels): row for row, name in enumerate(names)}


def _key(name: str, *sets: Sequence[str]) -> str:
    """The name without its case, unless a set of names tells names apart by it."""
    distinct = all(len({other.casefold() for other in names}) == len(set(names)) for names in sets)
    return name.casefold() if distinct else name


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:8]
    return ", ".join(shown) + (f", ... ({len(names)})" if len(names) > len(shown) else "")


def take_rows(array: np.ndarray, rows: Rows, initial: np.ndarray) -> np.ndarray:
    """``initial`` with the checkpoint's rows in their places; both have one row a class."""
    taken = np.array(initial, np.float32)
    for place, row in enumerate(rows.rows):
        if row is not None:
            taken[place] = array[row]
    return taken


def origin_of(rows: Rows | None, modules: Sequence[str], output: str, fresh: Collection[str]) -> HeadOrigin:
    """What became of a head.

    Args:
        rows: of its output; None where the checkpoint has no output that is named by classes.
        modules: paths of its modules that have parameters of their own.
        output: path of its output.
        fresh: names of the parameters that were initialised here.
    """
    new = tuple(path for path in modules if any(name.rpartition(".")[0] == path for name in fresh))
    if rows is not None:
        others = tuple(path for path in new if path != output)
        whole = rows.state in (LOADED, REORDERED)
        return HeadOrigin(PARTLY if whole and others else rows.state, rows.reason, others)
    if len(new) == len(modules):
        return HeadOrigin(INITIALISED if modules else LOADED, "", new)
    return HeadOrigin(PARTLY if new else LOADED, "", new)
