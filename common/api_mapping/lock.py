"""`mapping.lock.json`: which target was chosen for each row on a device and version, and why the others were rejected.

The file in `mindspore_impl` was made on the CPU and is shipped; `probe` writes to the user's own file, whose rows
replace the shipped ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.files import write_json
from common.reading import read_json
from common.resources import package_folder

__all__ = ["SHIPPED", "entries", "key", "load", "reading", "save", "user_file"]

_ENTRIES = {...: {"rows": {...: {"target": str | None, "passed": [str], "rejected": {...: str}}}}}
SHIPPED = package_folder("mindspore_impl") / "mapping.lock.json"
_FIRST: list[Path] = []


def user_file() -> Path:
    """Where entries made on this machine are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "twinlora" / "mapping.lock.json"


def key(device: str, version: str) -> str:
    """Name of an entry."""
    return f"{device.lower().partition(':')[0]}, mindspore {version}"


def load(device: str, version: str) -> dict[str, Any]:
    """The rows verified on ``device`` with this MindSpore, the user's before the shipped ones; empty where there are
    none."""
    return entries(*_FIRST, user_file(), SHIPPED).get(key(device, version), {})


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While the block runs, ``load`` reads ``path`` before the user's file."""
    _FIRST.insert(0, path)
    try:
        yield
    finally:
        _FIRST.remove(path)


def entries(*paths: Path) -> dict[str, dict[str, Any]]:
    """Every entry's rows by its name, ``cpu, mindspore 2.10.0``; of files that share a row the first counts."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        for name, entry in _read(path).items() if path.is_file() else ():
            found[name] = entry["rows"] | found.get(name, {})
    return found


def save(path: Path, device: str, version: str, rows: Mapping[str, Any]) -> None:
    """Add or replace rows of one entry; other entries and rows stay."""
    content = _read(path) if path.is_file() else {}
    entry = content.setdefault(key(device, version), {"rows": {}})
    entry["rows"] = dict(sorted({**entry["rows"], **rows}.items()))
    write_json(path, content)


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, "a lock file of `twinlora map probe`", "Delete it and probe again.", _ENTRIES)
