"""DART (Nan et al. 2021): the files ``dart-v1.1.1-full-train.json``, ``-dev`` and ``-test``, properties lower-cased as
Hu et al. 2021 do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from common.data.formats.triples import Entry, formatted, joined, rows
from common.data.readers import Table
from common.errors import InputError
from common.reading import read_json

__all__ = ["read"]

_FILES = {"train": "train", "validation": "dev", "test": "test"}
_SHAPE = [{"tripleset": [[str]], "annotations": [{"text": str}]}]
_REMEDY = "Copy it again from the published release."


def read(folder: Path) -> dict[str, list[Table]]:
    """The splits of ``folder``; nothing where it does not have the files.

    Raises:
        InputError: a file has a defect.
    """
    found = {split: sorted(folder.glob(f"dart-v*-full-{name}.json")) for split, name in _FILES.items()}
    if not any(found.values()):
        return formatted(folder)
    return {split: [rows(paths[-1], _entries(paths[-1]))] for split, paths in found.items() if paths}


def _entries(path: Path) -> Iterator[Entry]:
    for number, item in enumerate(read_json(path, "a file of DART", _REMEDY, _SHAPE), 1):
        triples = [_lowered(path, number, triple) for triple in item["tripleset"]]
        yield Entry(f"item {number}", joined(triples), [annotation["text"] for annotation in item["annotations"]])


def _lowered(path: Path, number: int, triple: list[str]) -> list[str]:
    if len(triple) != 3:
        raise InputError(f"{path}, item {number}: triples of three texts were expected; found {triple!r}. {_REMEDY}")
    return [triple[0], triple[1].lower(), triple[2]]
