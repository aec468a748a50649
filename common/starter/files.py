"""Which files of a folder are which split, and how their lines are to be read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.data.folders import STEMS
from common.data.profile import CLASSES, TEXTS, Column
from common.data.readers import EXTENSIONS, Form, read_lines, read_table
from common.data.registry import DATASETS
from common.errors import InputError

__all__ = ["find_form", "find_splits"]

_HEADER = ("text", "sentence", "label", "class", "category", "sentiment", "intent", "emotion")
_NAMES = "column names must be given and differ"  #: what `common.data.readers` says of a first line
_LINES = 2000  #: that decide how lines are read
_SEPARATORS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")


def find_splits(given: Path) -> dict[str, Path]:
    """Split to file, or to a folder with a subfolder for each class.

    Args:
        given: a file (the training split), a folder of classes, or a folder of splits.

    Raises:
        InputError: there is no training split, or a split has several files.
    """
    if given.is_file():
        return {"train": given}
    if not given.is_dir():
        raise InputError(f"There is no file or folder {given}.")
    inside = sorted(given.iterdir())
    found: dict[str, Path] = {}
    files = [path for path in inside if _is_data(path)]
    for split, stems in STEMS.items():
        part = re.compile(rf"(?:^|[^a-z])(?:{'|'.join(stems)})(?:[^a-z]|$)|{stems[0]}$")
        fitting = [path for path in files if path.stem.lower() in stems]
        fitting = fitting or [path for path in files if part.search(path.stem.lower())]
        if len(fitting) > 1:
            names = ", ".join(path.name for path in fitting)
            raise InputError(
                f"The {split} split in {given} is ambiguous: {names}. Keep one, or name the files yourself."
            )
        if fitting:
            found[split] = fitting[0]
    if found and "train" not in found:
        raise InputError(f"{given} holds {', '.join(path.name for path in found.values())}, and no training split.")
    if found:
        return found
    if len(files) == 1 and files[0].is_file():
        return {"train": files[0]}
    if _is_data(given):
        return {"train": given}
    listed = ", ".join(path.name for path in inside[:10]) or "nothing"
    raise InputError(
        f"A folder of data holds train, perhaps validation and test, with one of the extensions {', '.join(EXTENSIONS)}, or a "
        f"subfolder for each class; {given} holds {listed}. Name the training file."
        + (f" {given.name} is also read by its name: data.name: {given.name}." if given.name in DATASETS else "")
    )


def find_form(path: Path, form: Form) -> Form:
    """How a text file is read whose lines hold a text and its class: ``text;class``, ``text<tab>class``, or the class as
    the first word; and a table whose fields are separated otherwise than its extension says. Any other stays as it is.

    Raises:
        InputError: it cannot be read, or has no header although its extension promises one.
    """
    if path.is_dir() or form.columns or form.separator is not None:
        return form
    if path.suffix.lower() in (".csv", ".tsv"):
        form = _separated(path, form)
        _require_header(path, form)
    if path.suffix.lower() != ".txt":
        return form
    lines = [line for line in read_lines(path, form.encoding)[:_LINES] if line.strip()]
    for separator in ("\t", ";", "|"):
        rows = [line.split(separator) for line in lines]
        if {len(row) for row in rows} != {2}:
            continue
        header = [name.strip().lower() for name in rows[0]]
        body = rows[1:] if not set(header).isdisjoint(_HEADER) else rows
        columns = [Column(str(n), [row[n] for row in body]) for n in (0, 1)]
        kinds = [column.kind for column in columns]
        if sorted(kinds) == sorted((TEXTS, CLASSES)):
            names = rows[0] if body is not rows else ["label" if kind == CLASSES else "text" for kind in kinds]
            return replace(form, separator=separator, columns=tuple(names))
    first = Column("label", [line.split(" ", 1)[0] for line in lines])
    if len(lines) >= 20 and first.kind == CLASSES and 1 < len(first.counts) <= len(lines) // 10:
        return replace(form, separator=" ", columns=("label", "text"))
    return form


def _separated(path: Path, form: Form) -> Form:
    """With the separator that makes columns of a file, such as the semicolon that Excel writes in many countries, where
    that of its extension makes one at most."""
    if len(_columns(path, form)) > 1:
        return form
    for separator in _SEPARATORS:
        other = replace(form, separator=separator)
        if len(_columns(path, other)) > 1:
            return other
    return form


def _columns(path: Path, form: Form) -> dict[str, list[Any]]:
    """Empty where it cannot be read so."""
    try:
        return read_table(path, form).columns
    except InputError:
        return {}


def _require_header(path: Path, form: Form) -> None:
    try:
        columns = read_table(path, form).columns
    except InputError as error:
        if _NAMES not in str(error):
            raise
        raise InputError(
            f"{path} seems to have no header. {error} Here: --columns, for example --columns label text."
        ) from error
    names = list(columns)
    repeated = next((name for name in names if name.lower() not in (*_HEADER, "") and name in columns[name]), None)
    if repeated is not None:
        raise InputError(
            f"{path} seems to have no header: its first line would name a column {repeated[:60]!r}, and {repeated[:60]!r} is "
            "also one of its values. Give the names of the columns with --columns, for example --columns text label."
        )
    doubtful = [name for name in names if not name or _NUMBER.fullmatch(name) or len(name) > 60 or name.count(" ") > 4]
    if doubtful and len(names) != sum(name.isdigit() for name in names):
        raise InputError(
            f"{path} seems to have no header: its first line names no columns, {doubtful[0][:60]!r} for one. Give their "
            "names with --columns, for example --columns label text."
        )


def _is_data(path: Path) -> bool:
    """A file that can be read, or a folder with a subfolder of texts for each class."""
    if path.is_file():
        return path.suffix.lower() in EXTENSIONS
    return any(next(folder.glob("*.txt"), None) for folder in path.iterdir() if folder.is_dir())
