"""Work that one process of a node does for all of them, without a network: whoever creates a file first leads, the
others watch its markers.
 A leader that died is recognised by its process id and start time, and succeeded. A failure is a message of a *living*
leader: it stays until every other process of the node has read it, so that all stop with the same error, and what an
earlier attempt left behind never stops a restarted job.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from common.errors import InputError, RunError
from common.reading import read_json
from common.writing import create_temporary, write_atomic

__all__ = ["job_directory", "once_per_node", "own_directory", "publish"]

_JOB = ("MA_VJ_NAME", "JOB_ID", "TORCHELASTIC_RUN_ID")
_POLL = 0.1  # seconds
_FAILURE = {"error": str, "input": bool, "leader": int}


def job_directory(environ: Mapping[str, str], run_id: str, root: Path | None = None) -> Path:
    """The scratch directory of this job on this node: the same for all its processes and its restarts, and for no other
    job.

    The platform's job id names it; without one, the process that started all the others does. ``root`` is /cache,
    ModelArts' scratch disk, where there is one, else the directory for temporary files.
    """
    root = root or Path("/cache" if os.access("/cache", os.W_OK) else tempfile.gettempdir())
    starter = os.getppid() if _started(os.getppid()) else os.getpid()  # a parent outside of the container is not seen
    given = next((environ[name] for name in _JOB if environ.get(name, "none") not in ("", "none")), None)
    job = given or f"{socket.gethostname()}-{starter}-{_started(starter)}"
    return root / re.sub(r"[^\w.-]", "_", f"twinlora-{os.getuid()}-{job}-{run_id}")


def own_directory(path: Path) -> Path:
    """Make the scratch directory ``path``, whose name others can guess, and return it.

    Raises:
        InputError: something is there that is not this user's own directory, such as a link planted in /tmp.
    """
    with contextlib.suppress(FileExistsError):  # a file, or a link to nowhere, which is no directory either
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise InputError(
            f"The scratch directory of a job must be this user's own and writable for nobody else; {path} is not. "
            "Remove it if it is yours, or give another one with --job_dir."
        )
    return path


def once_per_node(
    directory: Path, processes: int, work: Callable[[], None], patience: float, linger: float = 60.0
) -> None:
    """Have exactly one of the ``processes`` that call this do ``work``; return in all of them when it is done. Done
    once is done for later calls too.

    Args:
        directory: belongs to this work, on a disk that the processes share.
        patience: seconds to wait for the leader.
        linger: seconds that a leader that failed waits for the others to read why.

    Raises:
        InputError, RunError: the work failed, here or in the leader; or the leader did not finish in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    generation = 0
    while not (directory / "done").exists():
        leader, failed = directory / f"leader.{generation}", directory / f"failed.{generation}"
        if _claim(leader):
            return _lead(directory, failed, processes, work, linger)
        if not _alive(leader):
            generation += 1  # never removing a leader's file leaves no moment in which two of them lead
        elif failed.exists():
            failure = read_json(failed, "what a process said", "Remove the job's scratch directory.", _FAILURE)
            publish(failed.with_name(f"{failed.name}.read-by.{os.getpid()}"), "")
            raise (InputError if failure["input"] else RunError)(
                f"{failure['error']} (reported by process {failure['leader']}, which prepared this node)"
            )
        elif time.monotonic() > deadline:
            raise RunError(
                f"The node must be prepared within {patience:g} s; {leader} has neither finished nor failed. Look into its log, then restart the job."
            )
        else:
            time.sleep(_POLL)
    return None


def publish(path: Path, text: str) -> None:
    """Write ``path`` so that nobody sees a part of it. Nothing here has to outlive the machine."""
    write_atomic(path, text, durable=False)


def _lead(directory: Path, failed: Path, processes: int, work: Callable[[], None], linger: float) -> None:
    try:
        work()
    except BaseException as error:
        text = str(error) if isinstance(error, (InputError, RunError)) else f"{type(error).__name__}: {error}"
        publish(failed, json.dumps({"error": text, "input": isinstance(error, InputError), "leader": os.getpid()}))
        deadline = time.monotonic() + linger
        while len(list(directory.glob(f"{failed.name}.read-by.*"))) < processes - 1 and time.monotonic() < deadline:
            time.sleep(_POLL)
        raise
    publish(directory / "done", "")


def _claim(leader: Path) -> bool:
    """Create ``leader`` with its content in one step; only one process can."""
    mine, descriptor = create_temporary(leader.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {_started(os.getpid())}")
        os.link(mine, leader)
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def _alive(leader: Path) -> bool:
    try:
        process, started = leader.read_bytes().decode("ascii", "replace").split()
        return _started(int(process)) == started
    except ValueError:  # damaged: nobody can be recognised by it
        return False


def _started(process: int) -> str | None:
    """When a process started, in clock ticks since the machine did: a number that outlives the reuse of its id. None
    once it has ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[19] if fields[0] not in "ZX" else None
    return None
