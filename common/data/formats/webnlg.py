"""WebNLG 2017: the challenge's XML files, plain or gzipped, or the JSON files that Hu et al. 2021 ship.

The split ``test`` holds the test set of the challenge; ``test_seen`` and ``test_unseen`` are its parts by whether the
category occurs in training. Only texts that are marked as good are read, as there.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from common.data.formats.triples import Entry, formatted, joined, rows
from common.data.readers import Table
from common.errors import InputError
from common.reading import read_bytes, read_json

__all__ = ["SEEN", "read"]

#: categories of the training data
SEEN = frozenset(
    ("Airport", "Astronaut", "Building", "City", "ComicsCharacter", "Food", "Monument", "SportsTeam", "University")
) | {"WrittenWork"}  # fmt: skip
_FOLDERS = {"train": "train", "validation": "dev"}
_TEST = ("testdata_with_lex.xml", "testdata_with_lex.xml.gz")
_JSON = {"train": "train.json", "validation": "dev.json", "test": "test.json"}
_GOOD = "good"
_WHAT = "a file of WebNLG"
_REMEDY = "Copy it again from the challenge's release."
_LARGEST = 2**28  #: bytes of a file once unpacked
_SHAPE = {
    "entries": [
        {
            ...: {
                "category": str,
                "lexicalisations": [{"lex": str, "comment": str}],
                "modifiedtripleset": [{"subject": str, "property": str, "object": str}],
            }
        }
    ]
}


def read(folder: Path) -> dict[str, list[Table]]:
    """The splits of ``folder``; nothing where it has neither layout.

    Raises:
        InputError: a file has a defect.
    """
    found = _challenge(folder) or _shipped(folder)
    if not found:
        return formatted(folder)
    if "test" in found:
        path, entries = found["test"]
        found["test_seen"] = path, [entry for entry in entries if entry.category in SEEN]
        found["test_unseen"] = path, [entry for entry in entries if entry.category not in SEEN]
    return {split: [rows(path, entries)] for split, (path, entries) in found.items() if entries}


def _challenge(folder: Path) -> dict[str, tuple[Path, list[Entry]]]:
    files = {split: sorted((folder / name).glob("*triples/*.xml*")) for split, name in _FOLDERS.items()}
    if not all(files.values()):
        return {}
    found = {
        split: (folder / _FOLDERS[split], [e for path in paths for e in _xml(path)]) for split, paths in files.items()
    }
    test = next((folder / "test" / name for name in _TEST if (folder / "test" / name).is_file()), None)
    return found | ({"test": (test.parent, list(_xml(test)))} if test else {})


def _xml(path: Path) -> Iterator[Entry]:
    content = _unpacked(path)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise InputError(f"{path}: a file without document type and entities was expected. {_REMEDY}")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise InputError(f"{path} cannot be read as XML: {error}. {_REMEDY}") from error
    for number, entry in enumerate(root.iter("entry"), 1):
        triples = [[part.strip() for part in (triple.text or "").split(" | ")] for triple in entry.iter("mtriple")]
        if not triples or any(len(triple) != 3 for triple in triples):
            raise InputError(f"{path}, entry {number}: triples of the form subject | property | object were expected.")
        texts = [
            text for lex in entry.iter("lex") if lex.get("comment") == _GOOD and (text := (lex.text or "").strip())
        ]
        place = f"{path.name}, entry {entry.get('eid') or number}"
        yield Entry(place, joined(triples), texts, entry.get("category") or "")


def _unpacked(path: Path) -> bytes:
    content = read_bytes(path, _WHAT, _REMEDY, _LARGEST)
    if path.suffix != ".gz":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked: {error}. {_REMEDY}") from error
    if len(unpacked) > _LARGEST:
        raise InputError(f"{path} must hold at most {_LARGEST:,} bytes once unpacked; it holds more. {_REMEDY}")
    return unpacked


def _shipped(folder: Path) -> dict[str, tuple[Path, list[Entry]]]:
    files = {split: folder / name for split, name in _JSON.items() if (folder / name).is_file()}
    return {split: (path, list(_json(path))) for split, path in files.items()}


def _json(path: Path) -> Iterator[Entry]:
    for item in read_json(path, _WHAT, _REMEDY, _SHAPE)["entries"]:
        for number, entry in item.items():
            parts = ("subject", "property", "object")
            triples = [[triple[part] for part in parts] for triple in entry["modifiedtripleset"]]
            texts = [text["lex"] for text in entry["lexicalisations"] if text["comment"] == _GOOD]
            yield Entry(f"entry {number}", joined(triples), texts, entry["category"])
