"""Multi30k (Elliott et al. 2016) as its repository holds it: a file for each language and split, packed or not, one
sentence a line."""

from __future__ import annotations

from pathlib import Path

from common.data.parallel import read_together
from common.data.readers import Table

__all__ = ["read"]

_STEMS = {"train": ("train",), "validation": ("val",), "test": ("test_2016_flickr", "flickr2016", "test")}
_LANGUAGES = ("de", "en")


def read(folder: Path) -> dict[str, list[Table]]:
    """The splits of ``folder`` with the columns ``de`` and ``en``; those that are there in both languages.

    Raises:
        InputError: two files have different numbers of lines, or one cannot be read.
    """
    found = {}
    for split, stems in _STEMS.items():
        pairs = ({name: _file(folder, f"{stem}.{name}") for name in _LANGUAGES} for stem in stems)
        pair = next((pair for pair in pairs if None not in pair.values()), None)
        if pair is not None:
            files = {name: path for name, path in pair.items() if path is not None}
            found[split] = [read_together(files, " and ".join(map(str, files.values())))]
    return found


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
