"""E2E as Hu et al. 2021 ship it: ``train.txt``, ``valid.txt`` and ``test.txt`` of lines ``context||completion``."""

from __future__ import annotations

from pathlib import Path

from common.data.formats.triples import Entry, formatted, rows
from common.data.readers import Table, read_lines
from common.errors import InputError

__all__ = ["read"]

_FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
_SEPARATOR = "||"


def read(folder: Path) -> dict[str, list[Table]]:
    """The splits of ``folder``.

    Raises:
        InputError: a line is not of the form.
    """
    found = {split: folder / name for split, name in _FILES.items() if (folder / name).is_file()}
    if not found:
        return formatted(folder)
    return {split: [rows(path, map(_entry, *_numbered(path)))] for split, path in found.items()}


def _numbered(path: Path) -> tuple[list[str], list[str]]:
    lines = read_lines(path)
    return [f"line {number}" for number in range(1, len(lines) + 1)], lines


def _entry(place: str, line: str) -> Entry:
    context, separator, completion = line.partition(_SEPARATOR)
    if not separator:
        raise InputError(f"{place}: a line of the form context||completion was expected; found {line!r}.")
    return Entry(place, context.strip(), [completion.strip()])
