"""Piano rolls in one JSON file of the splits train, valid and test: sequences of frames, each the list of its keys from
0 to 87, as the chorales of Bach (Boulanger-Lewandowski et al. 2012) are distributed."""

from __future__ import annotations

from pathlib import Path

from common.data.readers import Table
from common.errors import InputError
from common.reading import read_json

__all__ = ["read"]

_SPLITS = {"train": "train", "validation": "valid", "test": "test"}
_SHAPE = {...: [[[int]]]}
_REMEDY = "Copy it again from its publisher."


def read(folder: Path) -> dict[str, list[Table]]:
    """The splits of the one file in ``folder`` that has them; nothing where there is none.

    Raises:
        InputError: there are several, or the file has a defect.
    """
    paths = sorted(folder.glob("*.json"))
    if {path.stem for path in paths} & set(_SPLITS):
        return {}
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise InputError(f"{folder} must hold one JSON file of piano rolls; it holds {names}. Keep one.")
    if not paths:
        return {}
    found = read_json(paths[0], "a file of piano rolls", _REMEDY, _SHAPE)
    missing = [name for name in _SPLITS.values() if name not in found]
    if missing:
        raise InputError(f"{paths[0]} must have the splits train, valid and test; it lacks {', '.join(missing)}.")
    return {split: [_table(paths[0], name, found[name])] for split, name in _SPLITS.items()}


def _table(path: Path, name: str, sequences: list[list[list[int]]]) -> Table:
    return Table(f"{path} ({name})", {"frames": sequences}, range(1, len(sequences) + 1))
