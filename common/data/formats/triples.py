"""What the readers of data-to-text sets have in common: a text for an input of several fields or triples.

Columns are ``context``, ``completion`` and, where there are any, ``category``, one row for each reference, in the
linear form of Hu et al. 2021 (examples/NLG of their code): ``subject : property : object | ...``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.data.readers import Table, read_table
from common.errors import InputError

__all__ = ["Entry", "formatted", "joined", "rows"]

_FORMATTED = {
    "train": "train_formatted.jsonl",
    "validation": "valid_formatted.jsonl",
    "test": "test_formatted.jsonl",
}


@dataclass(frozen=True)
class Entry:
    """One input with its texts."""

    place: str  #: in the file, for messages
    context: str
    texts: Sequence[str]
    category: str = ""


def joined(triples: Iterable[Sequence[str]]) -> str:
    """``subject : property : object`` of each triple, with `` | `` between them."""
    return " | ".join(" : ".join(triple) for triple in triples)


def rows(source: Path, entries: Iterable[Entry]) -> Table:
    """A row for each text.

    Raises:
        InputError: there is none.
    """
    found = [(entry, text) for entry in entries for text in entry.texts]
    if not found:
        raise InputError(f"{source} holds no text. At least one entry with a text was expected.")
    columns = {
        "context": [entry.context for entry, _ in found],
        "completion": [text for _, text in found],
        "category": [entry.category for entry, _ in found],
    }
    return Table(str(source), columns, [1] * len(found), files=[entry.place for entry, _ in found])


def formatted(folder: Path) -> dict[str, list[Table]]:
    """The files ``train_formatted.jsonl``, ... that create_datasets.sh of Hu et al. 2021 writes."""
    found = {split: folder / name for split, name in _FORMATTED.items() if (folder / name).is_file()}
    return {split: [read_table(path)] for split, path in found.items()}
