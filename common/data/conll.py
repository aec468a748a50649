"""Files with one word a line and a blank line after each sentence: CoNLL's columns, and CoNLL-U of Universal
Dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from common.data.readers import Table, read_lines
from common.errors import InputError

__all__ = ["read_conll", "read_conllu"]

_DOCUMENT = "-DOCSTART-"  #: CoNLL's mark of a new document: a sentence of its own, or a line before the first one
_CONLLU = {"tokens": 1, "lemmas": 2, "upos": 3, "xpos": 4}  #: our column to the file's
_CONLLU_WIDTH = 10


def read_conll(path: Path, columns: Sequence[str] = (), separator: str | None = None, encoding: str = "utf-8") -> Table:
    """Each column as one list of fields a sentence.

    Args:
        columns: names of the fields of a line; by default the first is ``tokens`` and the last ``tags``, and what
            stands between is named ``column2`` and so on.
        separator: of the fields; by default a tab where the first line has one, and runs of white space otherwise.

    Raises:
        InputError: a line has another number of fields, or a field is empty.
    """
    sentences, lines = [], []
    for _, numbered in _sentences(read_lines(path, encoding)):
        if separator is None:
            separator = "\t" if "\t" in numbered[0][1] else " "
        rows = [(line, _fields(text, separator)) for line, text in numbered]
        columns = columns or _default_columns(path, rows[0][1])
        for line, fields in rows:
            if len(fields) != len(columns) or not all(field.strip(" ") for field in fields):
                raise InputError(
                    f"{path}, line {line}: {len(columns)} fields were expected ({', '.join(columns)}), or a blank line "
                    f"between sentences; found {fields!r}."
                )
        words = [(line, fields) for line, fields in rows if fields[0] != _DOCUMENT]
        if words:
            sentences.append([fields for _, fields in words])
            lines.append(words[0][0])
    named = {name: [[fields[i] for fields in rows] for rows in sentences] for i, name in enumerate(columns)}
    return Table(str(path), named, lines)


def read_conllu(path: Path, encoding: str = "utf-8") -> Table:
    """``tokens``, ``lemmas``, ``upos`` and ``xpos`` of every sentence.

    Only syntactic words are read: those whose id is one number. ``3-4`` is the written form of the words 3 and 4, which
    follow, and ``3.1`` a word that is not in the text.

    Raises:
        InputError: a line is no comment and has not the ten fields of the format, or its id is none.
    """
    sentences, lines = [], []
    for start, numbered in _sentences(read_lines(path, encoding)):
        rows = [_word(path, line, text) for line, text in numbered if not text.startswith("#")]
        words = [fields for fields in rows if fields is not None]
        if words:
            sentences.append(words)
            lines.append(start)
    named = {name: [[fields[at] for fields in rows] for rows in sentences] for name, at in _CONLLU.items()}
    return Table(str(path), named, lines)


def _sentences(lines: Sequence[str]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """(number of the first line, numbered lines) of every block between blank lines. A line of tabs is blank as
    well."""
    block: list[tuple[int, str]] = []
    for number, text in enumerate([*lines, ""], 1):
        if text.strip(" \t"):
            block.append((number, text))
        elif block:
            yield block[0][0], block
            block = []


def _fields(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator != " " else [field for field in text.split(" ") if field]


def _default_columns(path: Path, fields: Sequence[str]) -> tuple[str, ...]:
    if len(fields) < 2:
        raise InputError(f"{path} must hold a word and its tag on each line, separated by a tab or by spaces.")
    return ("tokens", *(f"column{i}" for i in range(2, len(fields))), "tags")


def _word(path: Path, line: int, text: str) -> list[str] | None:
    fields = text.split("\t")
    parts = fields[0].replace(".", "-").split("-")
    if len(fields) != _CONLLU_WIDTH or not all(part.isdecimal() for part in parts) or len(parts) > 2 or not fields[1]:
        raise InputError(
            f"{path}, line {line}: CoNLL-U has {_CONLLU_WIDTH} fields with tabs between them, of which the first is an "
            f"id such as 3, 3-4 or 3.1; found {text[:80]!r}."
        )
    return fields if len(parts) == 1 else None
