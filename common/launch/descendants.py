"""Every process below this one: who they are, and that none of them outlives the job.

Launchers start their workers in sessions of their own, where a signal to the launcher's group does not
reach them, and a launcher that is killed leaves them behind. A *subreaper* (Linux) becomes the parent of
what its descendants leave behind, so that it still finds it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

__all__ = ["adopt_orphans", "children_of", "descendants", "kill_descendants"]

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of what descendants leave behind."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children_of(process: int) -> list[int]:
    """The living children of ``process``."""
    return [child for child, (parent, state) in _processes().items() if parent == process and state not in "ZX"]


def descendants(process: int | None = None) -> list[int]:
    """The living processes below ``process`` (by default this one), parents before children."""
    known = _processes()
    found = [os.getpid() if process is None else process]
    for above in found:  # grows while it is read
        found += [child for child, (parent, _) in known.items() if parent == above]
    return [child for child in found[1:] if known[child][1] not in "ZX"]


def kill_descendants(spare: Collection[int] = (), patience: float = 10.0) -> int:
    """Kill every process below this one, but those of ``spare``, and wait until they are gone; return how many there
    were."""
    killed: set[int] = set()
    deadline = time.monotonic() + patience
    while (living := [one for one in descendants() if one not in spare]) and time.monotonic() < deadline:
        for process in living:  # again and again: one may have started another in the meantime
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            killed.add(process)
        time.sleep(0.02)
    return len(killed)


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process by its id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
            found[int(entry.parent.name)] = (int(parent), state)
    return found
