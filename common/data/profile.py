"""What the columns of a table look like: text, classes, numbers, lists. A task recognises its own by it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from common.data.readers import Table

__all__ = ["CLASSES", "LABEL_LISTS", "NUMBERS", "TEXTS", "WORD_LISTS", "Column", "Profile", "Recognised"]

TEXTS, CLASSES, NUMBERS, LABEL_LISTS, WORD_LISTS = "text", "class", "number", "list of labels", "list of words"
IDENTIFIER, CONSTANT, EMPTY, OBJECTS = "identifier", "constant", "empty", "objects"
_FEW = 30  #: classes that a column may always have
_MOST = 200  #: classes of a column of short texts
_SHORT = 40  #: characters of a class name
_EAST_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    values: Sequence[Any] = field(repr=False)

    @cached_property
    def present(self) -> list[Any]:
        """Values that are there."""
        return [value for value in self.values if value is not None and value == value and value not in ("", [])]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs; labels of lists one by one."""
        nested = any(isinstance(value, list) for value in self.present)
        flat = [item for value in self.present for item in value] if nested else self.present
        return Counter(str(value).strip() for value in flat)

    @cached_property
    def kind(self) -> str:
        """One of the constants of this module."""
        values = self.present
        if not values:
            return EMPTY
        if all(isinstance(value, list) for value in values):
            return self._kind_of_lists()
        if any(isinstance(value, dict | list) for value in values):
            return OBJECTS
        numbers = [_number(value) for value in values]
        if None not in numbers:
            return self._kind_of_numbers([number for number in numbers if number is not None])
        lengths = [len(str(value)) for value in values]
        if len(self.counts) == 1:
            return CONSTANT if len(values) > 1 and lengths[0] <= _SHORT else TEXTS
        few = len(self.counts) <= max(_FEW if len(values) >= 2 * _FEW else 2, min(_MOST, len(values) // 5))
        if max(lengths) <= _SHORT and few and len(self.counts) < len(values):
            return CLASSES
        bare = all(re.fullmatch(r"[\w.:/-]+", str(value)) and not _EAST_ASIAN.search(str(value)) for value in values)
        return IDENTIFIER if bare and len(self.counts) == len(values) else TEXTS

    def _kind_of_lists(self) -> str:
        if not all(isinstance(item, str | int) for value in self.present for item in value):
            return OBJECTS
        return LABEL_LISTS if len(self.counts) <= max(_FEW, len(self.present) // 5) else WORD_LISTS

    def _kind_of_numbers(self, numbers: list[float]) -> str:
        if any(not number.is_integer() for number in numbers):
            return NUMBERS
        if len(self.counts) == 1:
            return CONSTANT
        if len(self.counts) == len(numbers) and len(numbers) > 10:
            return IDENTIFIER
        return CLASSES if len(self.counts) <= max(2, min(_MOST, max(_FEW, len(numbers) // 20))) else NUMBERS

    def lengths(self) -> list[int]:
        """About how many tokens each text has: a third more than words, and one for each East Asian character."""
        found = []
        for value in self.present:
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            wide = len(_EAST_ASIAN.findall(text))
            words = len(_EAST_ASIAN.sub(" ", text).split())
            found.append(math.ceil(words * 4 / 3) + wide)
        return found

    @property
    def east_asian(self) -> bool:
        """Whether a third of the characters are Chinese, Japanese or Korean."""
        text = "".join(str(value) for value in self.present[:1000])
        return 3 * len(_EAST_ASIAN.findall(text)) > len(text) > 0

    def describe(self) -> str:
        """For people."""
        if self.kind in (CLASSES, LABEL_LISTS):
            shown = ", ".join(f"{name} {count:,}" for name, count in self.counts.most_common(6))
            more = f" and {len(self.counts) - 6} more" if len(self.counts) > 6 else ""
            return f"{self.kind}, {len(self.counts)} different: {shown}{more}"
        if self.kind in (TEXTS, WORD_LISTS):
            lengths = sorted(self.lengths())
            return f"{self.kind}, about {lengths[len(lengths) // 2]} tokens, at most {lengths[-1]}"
        if self.kind == NUMBERS:
            numbers = [float(value) for value in self.present]
            return f"{self.kind}, {min(numbers):g} to {max(numbers):g}"
        return self.kind


@dataclass(frozen=True)
class Recognised:
    """How a task would read a table.

    Args:
        entries: of the data section, such as ``text_column``, to the columns.
        evidence: the higher, the more of the table is explained.
        metric: that decides the best state.
        sources: base models that suit; by ``""`` and ``east asian``.
    """

    entries: Mapping[str, str]
    evidence: int
    metric: str
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Profile:
    """The columns of a training split.

    Args:
        given: columns that the user named, by entry of the data section.
    """

    columns: Mapping[str, Column]
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, given: Mapping[str, str] | None = None) -> Profile:
        """Of a table as `common.data.readers` reads it."""
        return cls({name: Column(name, values) for name, values in table.columns.items()}, dict(given or {}))

    def pick(
        self, entry: str, kinds: Sequence[str], names: Sequence[str] = (), taken: Sequence[str] = ()
    ) -> str | None:
        """The column for an entry: the user's; one of ``kinds`` with a usual name; the only one of ``kinds``.

        Args:
            names: usual ones, in lower case.
            taken: columns that serve otherwise.
        """
        if entry in self.given:
            return self.given[entry]
        fitting = [
            column.name
            for column in self.columns.values()
            if column.kind in kinds and column.name not in (*taken, *self.given.values())
        ]
        usual = [column for name in names for column in fitting if column.lower() == name]
        return next(iter(usual), fitting[0] if len(fitting) == 1 else None)

    def named(self, entry: str, names: Sequence[str]) -> str | None:
        """The column for an entry: the user's, or the first text column with a usual name where there is another one."""
        if entry in self.given:
            return self.given[entry]
        texts = [column.name for column in self.columns.values() if column.kind in (TEXTS, CLASSES)]
        found = [column for name in names for column in texts if column.lower() == name]
        return found[0] if found and len(texts) > 1 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
