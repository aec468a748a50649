"""`mapping.lock.json`: which target was chosen for each row on a device and version, and why the others were rejected.

The file beside `mindspore_impl` was made on the CPU and is shipped; `probe` writes further entries to the user's own file, which is read first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import write_json
from common.reading import read_json

__all__ = ["SHIPPED", "entries", "key", "load", "save", "user_file"]

_ENTRIES = {...: {"rows": {...: {"target": str | None, "passed": [str], "rejected": {...: str}}}}}
SHIPPED = Path(__file__).resolve().parents[2] / "mindspore_impl" / "mapping.lock.json"


def user_file() -> Path:
    """Where entries made on this machine are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "twinlora" / "mapping.lock.json"


def key(device: str, version: str) -> str:
    """Name of an entry."""
    return f"{device.lower().partition(':')[0]}, mindspore {version}"


def load(device: str, version: str) -> dict[str, Any]:
    """The rows of the entry for ``device``, the user's before the shipped one's; empty where there is none."""
    for path in (user_file(), SHIPPED):
        if path.is_file():
            entry = _read(path).get(key(device, version))
            if entry:
                return dict(entry["rows"])
    return {}


def entries(*paths: Path) -> dict[str, dict[str, Any]]:
    """Every entry's rows by its name, ``cpu, mindspore 2.10.0``; of files that share one the first counts, as in `load`."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        if path.is_file():
            found = {name: entry["rows"] for name, entry in _read(path).items()} | found
    return found


def save(path: Path, device: str, version: str, rows: Mapping[str, Any]) -> None:
    """Add or replace rows of one entry; other entries and rows stay."""
    content = _read(path) if path.is_file() else {}
    entry = content.setdefault(key(device, version), {"rows": {}})
    entry["rows"] = dict(sorted({**entry["rows"], **rows}.items()))
    write_json(path, content)


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, "a lock file of `twinlora map probe`", "Delete it and probe again.", _ENTRIES)
