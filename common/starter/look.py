"""What a user's data are: splits, columns, the task that recognises them, and what should be known before training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.data.profile import Profile, Recognised
from common.data.readers import Form, Table, read_table
from common.errors import InputError
from common.tasks import TASKS

__all__ = ["Found", "look"]

_LABELS = ("label", "labels", "class", "category", "target")  #: names of columns that are meant to be predicted


@dataclass(frozen=True)
class Found:
    """Data, and how they would be read."""

    splits: Mapping[str, Path]
    tables: Mapping[str, Table]
    form: Form
    profile: Profile  #: of the training split
    task: str
    recognised: Recognised

    @property
    def texts(self) -> list[str]:
        """Entries of the data section that name texts, the main one first."""
        return [entry for entry in self.recognised.entries if entry != "label_column"]

    def lengths(self) -> list[int]:
        """About how many tokens the examples of the training split have, in ascending order."""
        columns = [self.profile.columns[self.recognised.entries[entry]] for entry in self.texts]
        return sorted(map(sum, zip(*(column.lengths() for column in columns), strict=False))) or [0]

    @property
    def source(self) -> str | None:
        """A base model to begin with; None where none is known for this language."""
        column = self.profile.columns[self.recognised.entries[self.texts[0]]]
        return self.recognised.sources.get("east asian" if column.east_asian else "")

    def remarks(self) -> Iterator[str]:
        """What may spoil a result."""
        if "label_column" not in self.recognised.entries:
            for one in self.profile.columns.values():
                if one.name.strip().lower() in _LABELS:
                    yield (
                        f"Column {one.name} ({one.describe()}) is not used: its values look like no classes. To predict "
                        f"it, name it with --label {one.name}."
                    )
        if len(self.recognised.entries) < 2:
            return  # packed text
        train = self._examples("train")
        for split in self.splits:
            if split == "train":
                continue
            there = self._examples(split)
            seen = sum(text in train for text in there)
            if seen:
                yield f"{seen:,} of {len(there):,} different examples of {split} also stand in train."
        several = [text for text, labels in train.items() if len(labels) > 1]
        if several and "label_column" in self.recognised.entries:
            shown = " ".join(" | ".join(several[0]).split())[:60]
            yield f"{len(several):,} examples of train occur with different labels, first {shown!r}."
        column = self.profile.columns.get(self.recognised.entries.get("label_column", ""))
        counts = column.counts if column is not None and column.kind in ("class",) else {}
        if counts and max(counts.values()) > 9 * min(counts.values()):
            rare = min(counts, key=lambda name: (counts[name], name))
            yield (
                f"The classes are of unequal size ({rare}: {counts[rare]:,} of {sum(counts.values()):,}): look at "
                "f1_macro beside the accuracy."
            )

    def _examples(self, split: str) -> dict[tuple[str, ...], set[str]]:
        """The texts of every example, with the labels that they occur with."""
        columns = self.tables[split].columns
        names = [self.recognised.entries[entry] for entry in self.texts]
        if any(name not in columns for name in names):
            return {}
        target = columns.get(self.recognised.entries.get("label_column", ""))
        found: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for row, texts in enumerate(zip(*(columns[name] for name in names), strict=True)):
            key = tuple(" ".join(map(str, text)) if isinstance(text, list) else str(text).strip() for text in texts)
            found[key].add("" if target is None else str(target[row]).strip())
        return found


def look(splits: Mapping[str, Path], form: Form, given: Mapping[str, str], task: str | None) -> Found:
    """Read the data, and find what they are.

    Args:
        given: columns that the user named, by entry of the data section.
        task: that the user named.

    Raises:
        InputError: a file cannot be read, a column is not there, or no task recognises the data.
    """
    tables = {split: read_table(path, form) for split, path in splits.items()}
    train = tables["train"]
    for column in given.values():
        train.column((column,))
    if not len(train):
        raise InputError(f"{train.source} has no row; the training split needs at least two.")
    profile = Profile.of(train, given)
    candidates = [TASKS.get(task)] if task is not None else list(TASKS)
    found = [(known.recognise(profile), known.name) for known in candidates]
    fitting = [(recognised, name) for recognised, name in found if recognised is not None]
    fitting = [pair for pair in fitting if set(given) <= set(pair[0].entries)]
    if not fitting:
        columns = "\n".join(f"  {column.name}: {column.describe()}" for column in profile.columns.values())
        what = f"Task {task} does not recognise" if task is not None else "No task recognises"
        raise InputError(
            f"{what} the columns of {train.source}. Name them with --text, --pair, --label or --prompt, "
            f"and the task with --task ({', '.join(TASKS.names())}). Its columns:\n{columns}"
        )
    recognised, name = max(fitting, key=lambda pair: pair[0].evidence)
    return Found(splits, tables, form, profile, name, recognised)
