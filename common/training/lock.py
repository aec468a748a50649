"""One writer for each run directory: a lock that the operating system takes back when its process ends."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_json
from common.reading import read_json

__all__ = ["FILE", "HOLDER", "locked"]

FILE = ".lock"  #: in the run directory; it stays there, and only a process that holds it counts
HOLDER = ".lock.json"  #: who holds it, for messages
_SHAPE = {"host": str, "process": int, "since": str}


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory, which is made where it is missing.

    A process that was killed holds no lock any more, so that a stale file is no obstacle.

    Raises:
        InputError: another process holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"One process at a time may train into {folder}; {_holder(folder)} does. Wait until it has ended, end it, "
            "or choose another --name or --output."
        ) from None
    except OSError as error:
        raise InputError(
            f"A run directory must be made and written; {folder} cannot: {error.strerror or error}. Choose another "
            "--output, or change its permissions."
        ) from error
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {"host": socket.gethostname(), "process": os.getpid(), "since": since}
        write_json(folder / HOLDER, holder, durable=False)
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may have vanished, or become read-only, in the meantime
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as is known: the file is written after the lock was taken."""
    try:
        found: dict[str, Any] = read_json(folder / HOLDER, "the holder of a lock", "Wait.", _SHAPE)
    except InputError:
        return "another one"
    return f"process {found['process']} on {found['host']}, since {found['since']},"
