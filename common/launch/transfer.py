"""One copy between an object store and this machine, run as a process of its own so that a copy that hangs can be
ended.

    python -c "from common.launch.transfer import main" download|upload SOURCE TARGET
 The only place that imports ``moxing``, the store's client in ModelArts' images. The error is the last line of standard
error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

__all__ = ["ABSENT", "main", "sizes_of"]

ABSENT = 3  #: exit code of a download of nothing


def main(arguments: Sequence[str]) -> int:
    """Copy, compare, and return the exit code: 0, 1 or ``ABSENT``."""
    verb, source, target = arguments
    try:
        import moxing
    except ImportError as error:
        print(
            f"obs:// and s3:// need the package moxing, which ModelArts provides ({error}). Set install_sys_packages in the job's engine, "
            "or attach the data and the output as channels, whose paths are local.",
            file=sys.stderr,
        )
        return 1
    try:
        return (
            _download(moxing.file, source, Path(target))
            if verb == "download"
            else _upload(moxing.file, Path(source), target)
        )
    except Exception as error:  # moxing raises many kinds
        print(f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}", file=sys.stderr)
        return 1


def sizes_of(folder: Path) -> dict[str, int]:
    """Bytes of every file below ``folder`` by relative name; files under a temporary name, which begins with a dot, do
    not count."""
    files = (
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _download(store: ModuleType, source: str, target: Path) -> int:
    """Copy to a temporary name, compare with the store's listing, rename."""
    source = source.rstrip("/")
    if not store.exists(source):
        return ABSENT
    part = target.with_name(f"part.{os.getpid()}.{target.name}")
    part.parent.mkdir(parents=True, exist_ok=True)
    if store.is_directory(source):
        names = [
            name.strip("/")
            for name in store.list_directory(source, recursive=True, skip_dir=True)
            if not name.endswith("/")
        ]
        expected = {name: store.get_size(f"{source}/{name}") for name in names}
        if not expected:
            return ABSENT
        store.copy_parallel(source, str(part))
        received = {
            path.relative_to(part).as_posix(): path.stat().st_size for path in part.rglob("*") if path.is_file()
        }
    else:
        expected = {target.name: store.get_size(source)}
        store.copy(source, str(part))
        received = {target.name: part.stat().st_size}
    _compare(expected, received, source)
    try:
        os.rename(part, target)
    except OSError:
        if not target.is_dir():  # else the copy of a process that was given up came first, and it is whole
            raise
    return 0


def _upload(store: ModuleType, folder: Path, target: str) -> int:
    """Copy file by file, the checkpoint last: a run is resumed from it, and what it refers to must be there then."""
    expected = sizes_of(folder)
    target = target.rstrip("/")
    for name in sorted(expected, key=lambda name: (name.startswith("checkpoint/"), name)):
        store.copy(str(folder / name), f"{target}/{name}")
        _compare({name: expected[name]}, {name: store.get_size(f"{target}/{name}")}, target)
    return 0


def _compare(expected: dict[str, int], received: dict[str, int], where: str) -> None:
    wrong = [
        f"{name}: {expected.get(name, 'no')} bytes became {received.get(name, 'no')}"
        for name in sorted(expected.keys() | received.keys())
        if expected.get(name) != received.get(name)
    ]
    if wrong:
        raise OSError(
            f"the copy of {where} is not whole: {'; '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}"
        )
