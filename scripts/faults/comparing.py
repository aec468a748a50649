"""In what two folders of results differ, apart from times and from what a machine is."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from laboratory import INTEGERS, load_arrays

__all__ = ["differences"]

#: entries of JSON that are of a process, not of its result
_ASIDE = {
    "seconds", "duration", "seconds_per_step", "steps_per_second", "data_seconds", "peak_memory", "peak_memory_bytes",
    "batch_shapes", "compiled_graphs", "since", "started", "ended", "created", "when", "pid", "host", "attempts",
    "hardware", "process",
}  # fmt: skip
_PAGES = (".html", ".md", ".log")  #: their text holds times; that they are there is compared
_HIDDEN = (".lock", ".lock.json")


def differences(found: Path, whole: Path) -> list[str]:
    """Every file that is missing, too much, or other than in ``whole``. Files under temporary names count as nothing."""
    if not found.exists():
        return [f"{found.name} is missing"]
    if found.is_file():
        return [f"{found.name}: {what}" for what in _different(found, whole)]
    ours, theirs = (_files(folder) for folder in (found, whole))
    problems = [f"{name} is missing" for name in sorted(theirs - ours)]
    problems += [f"{name} is too much" for name in sorted(ours - theirs)]
    for name in sorted(ours & theirs):
        problems += [f"{name}: {what}" for what in _different(found / name, whole / name)]
    return problems


def _files(folder: Path) -> set[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        str(path)
        for path in paths
        if not any(part.startswith(".") and part.endswith(".tmp") for part in path.parts) and path.name not in _HIDDEN
    }


def _different(found: Path, whole: Path) -> list[str]:
    if found.read_bytes() == whole.read_bytes() or found.suffix in _PAGES:
        return []
    if found.suffix == ".safetensors":
        return _arrays(found, whole)
    if found.suffix == ".json":
        return _first(_value(found.read_text(encoding="utf-8")), _value(whole.read_text(encoding="utf-8")))
    if found.suffix == ".jsonl":
        lines = (path.read_text(encoding="utf-8").splitlines() for path in (found, whole))
        pairs = zip_longest(*(map(_value, text) for text in lines))
        return next((there for one, two in pairs if (there := _first(one, two))), [])
    return ["its bytes"]


def _arrays(found: Path, whole: Path) -> list[str]:
    """Arrays to the bit, and what their metadata say apart from times, which those of a checkpoint hold."""
    (left, about), (right, meant) = (load_arrays(path, INTEGERS) for path in (found, whole))
    if left.keys() != right.keys():
        return ["the names of its arrays"]
    wrong = [name for name in left if not np.array_equal(left[name], right[name], equal_nan=True)]
    if wrong:
        return [f"{len(wrong)} arrays, such as {wrong[0]}"]
    return _first(*({name: _value(text) for name, text in entries.items()} for entries in (about, meant)))


def _value(text: str) -> Any:
    try:
        return _kept(json.loads(text))
    except ValueError:
        return text


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kept(item) for name, item in value.items() if name not in _ASIDE}
    return [_kept(item) for item in value] if isinstance(value, list) else value


def _first(found: Any, whole: Any, place: str = "") -> list[str]:
    """The first difference of two values of JSON."""
    if found == whole:
        return []
    if isinstance(found, dict) and isinstance(whole, dict):
        for name in whole.keys() | found.keys():
            if found.get(name) != whole.get(name):
                return _first(found.get(name), whole.get(name), f"{place}.{name}")
    if isinstance(found, list) and isinstance(whole, list) and len(found) == len(whole):
        for index, (one, two) in enumerate(zip(found, whole, strict=True)):
            if one != two:
                return _first(one, two, f"{place}[{index}]")
    return [f"{place.lstrip('.')} is {str(found)[:80]} instead of {str(whole)[:80]}"]
