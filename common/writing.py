"""Writing files so that a reader sees the old one or the new one whole, also after the power went out.

A temporary file or folder has a random name and is created exclusively, so that a link planted
under a guessed name is never followed; it is locked while it is written, so that one left behind by
a process that was killed is recognised and removed. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "create_temporary",
    "create_temporary_folder",
    "is_temporary",
    "sweep",
    "sync_directory",
    "sync_tree",
    "write_atomic",
    "write_json",
    "write_parts",
]

_TEMPORARY = re.compile(r"\.twinlora-[0-9a-f]{16}\.tmp")
_STALE = 60.0  #: seconds; a temporary file this old that nobody holds a lock on belongs to a process that is gone
_swept: set[str] = set()


def write_atomic(path: Path, content: bytes | str, durable: bool = True) -> None:
    """Write ``content`` (text as UTF-8) to a temporary file beside ``path``, and rename it into place.

    Args:
        durable: whether the file and its directory entry are on the disk when this returns (``fsync``).

    Raises:
        OSError: the disk is full, the folder is read-only, ...; what was at ``path`` is unchanged.
    """
    write_parts(path, (content.encode() if isinstance(content, str) else content,), durable)


def write_parts(path: Path, parts: tuple[bytes | memoryview, ...], durable: bool = True) -> None:
    """`write_atomic` of several pieces, without joining them in memory."""
    path = Path(path)
    if _is_stream(path):
        with open(path, "wb") as file:
            file.writelines(parts)
        return
    _make_directory(path.parent, durable)
    sweep(path.parent)
    temporary, descriptor = create_temporary(path.parent)
    try:
        with open(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.replace(temporary, path)  # before the lock goes with the descriptor
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Write ``value`` as indented JSON. Raises ValueError for NaN and infinities, which JSON does not have."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", durable)


def sync_directory(folder: Path) -> None:
    """Have the names in ``folder`` on the disk: a file's own ``fsync`` does not include its name."""
    with contextlib.suppress(
        OSError
    ):  # a folder that may not be read, or a network file system that cannot, and need not
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have everything in ``folder``, which perhaps others wrote, on the disk, and then its names."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(os.path.join(place, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(place))


def _is_stream(path: Path) -> bool:
    """Whether ``path`` is a device or a pipe, such as /dev/stdout: it is written to, and never replaced by a file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _make_directory(folder: Path, durable: bool) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
    for created in missing if durable else ():
        sync_directory(created.parent)


def create_temporary(folder: Path) -> tuple[Path, int]:
    """A new file in ``folder`` under a random name, and its descriptor, which holds a lock on it. It has the
    permissions that any new file has here."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        path = folder / f".twinlora-{secrets.token_hex(8)}.tmp"
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileExistsError:
            continue
        _lock(descriptor)
        return path, descriptor


def create_temporary_folder(folder: Path) -> tuple[Path, int]:
    """As `create_temporary`, a folder; the descriptor serves for its lock alone."""
    path = folder / f".twinlora-{secrets.token_hex(8)}.tmp"
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    _lock(descriptor)
    return path, descriptor


def _lock(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks: see _abandoned
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_temporary(path: Path) -> bool:
    """Whether it has the name of a temporary file or folder: being written, or left by a process that was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sweep(folder: Path) -> None:
    """Remove what killed processes left in ``folder``; once per process, since a listing costs more than most
    writes."""
    key = os.path.abspath(folder)
    if key in _swept:
        return
    _swept.add(key)
    with contextlib.suppress(OSError):  # a folder that may be written but not listed
        for path in _temporary_files(folder):
            if not _abandoned(path):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _temporary_files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if _TEMPORARY.fullmatch(entry.name))


def _abandoned(path: Path) -> bool:
    """Whether ``path`` is an old regular file or folder that no process is writing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = os.fstat(descriptor)
        known = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if not known or time.time() - found.st_mtime < _STALE:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is locked; or there are no locks here, and it stays
        return False
    finally:
        os.close(descriptor)
    return True
