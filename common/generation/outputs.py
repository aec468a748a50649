"""Files of generated texts and of references.

An outputs file holds one JSON object a line: ``prompt``, ``text`` and, where they are known, ``references``, as
``twinlora generate --split`` writes it; or, with the ending .txt, one text a line. A file of references may also be one
of the E2E challenge's script: lines of text, with a blank line between examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.data.readers import read_lines
from common.errors import InputError
from common.files import write_atomic
from common.reading import parse_json
from common.terminal import json_line

__all__ = ["Outputs", "read_outputs", "read_references", "write_outputs"]

_REMEDY = "Each line of an outputs file is an object of its own; correct it."


@dataclass(frozen=True)
class Outputs:
    """Texts of one system. ``prompts`` and ``references`` are empty where the file has none."""

    source: str
    texts: list[str]
    prompts: list[str]
    references: list[list[str]]
    records: list[dict[str, Any]]  #: as they stand in the file


def read_outputs(path: Path) -> Outputs:
    """Texts in the order of the file.

    Raises:
        InputError: it cannot be read, is empty, or a line has no text.
    """
    if path.suffix.lower() == ".txt":
        texts = [line.strip() for line in read_lines(path)]
        return Outputs(str(path), _some(path, texts), [], [], [{"text": text} for text in texts])
    records = list(_objects(path))
    texts = [_text(path, number, record, "text") for number, record in enumerate(records, 1)]
    return Outputs(str(path), _some(path, texts), _optional(path, records, "prompt"), _listed(path, records), records)


def read_references(path: Path) -> list[list[str]]:
    """References of every example, in order.

    Raises:
        InputError: it cannot be read, or an example has none.
    """
    if path.suffix.lower() != ".txt":
        records = list(_objects(path))
        found = _listed(path, records)
        if not found:
            raise InputError(f'{path}: objects with a list of texts "references" were expected; there is none.')
        return found
    groups: list[list[str]] = [[]]
    for line in read_lines(path):
        if line.strip():
            groups[-1].append(line.strip())
        elif groups[-1]:
            groups.append([])
    found = [group for group in groups if group]
    if len(found) == 1:  # one reference an example, without blank lines
        return [[reference] for reference in found[0]]
    return found


def write_outputs(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """One JSON object a line."""
    write_atomic(path, "".join(f"{json_line(record)}\n" for record in records))


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            found = parse_json(line, f"{path}, line {number}", "an object", _REMEDY)
            if not isinstance(found, dict):
                raise InputError(f"{path}, line {number}: an object was expected; found {type(found).__name__}.")
            yield found


def _text(path: Path, number: int, record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise InputError(f'{path}, object {number}: a text "{key}" was expected; found {value!r}.')
    return value


def _optional(path: Path, records: Sequence[dict[str, Any]], key: str) -> list[str]:
    """Of every record or of none."""
    if not any(key in record for record in records):
        return []
    return [_text(path, number, record, key) for number, record in enumerate(records, 1)]


def _listed(path: Path, records: Sequence[dict[str, Any]]) -> list[list[str]]:
    if not any("references" in record for record in records):
        return []
    for number, record in enumerate(records, 1):
        given = record.get("references")
        if not isinstance(given, list) or not given or not all(isinstance(text, str) for text in given):
            raise InputError(f'{path}, object {number}: "references" must be a list of texts; found {given!r}.')
    return [record["references"] for record in records]


def _some(path: Path, texts: list[str]) -> list[str]:
    if not texts:
        raise InputError(f"{path}: at least one text was expected; the file has none.")
    return texts
