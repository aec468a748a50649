"""Files between an object store (``obs://``, ``s3://``) and this node: every copy is limited in time, tried again,
compared, and never seen half-done."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError, RunError
from common.launch.processes import python_command
from common.launch.transfer import ABSENT

__all__ = ["Patience", "download", "is_remote", "upload"]

_SCHEMES = ("obs://", "s3://")


@dataclass(frozen=True)
class Patience:
    """How long a copy may take and how often it is tried."""

    timeout: float = 1800.0  #: seconds of one attempt
    attempts: int = 3
    backoff: float = 5.0  #: seconds before the second attempt; doubled before each further one

    @property
    def longest(self) -> float:
        """Seconds after which a copy has ended in one way or the other."""
        return self.attempts * self.timeout + (2 ** (self.attempts - 1) - 1) * self.backoff


def is_remote(location: str) -> bool:
    """Whether ``location`` is in an object store; every other one is a path, used as it is."""
    return location.startswith(_SCHEMES)


def download(url: str, target: Path, patience: Patience, say: Callable[[str], None], optional: bool = False) -> bool:
    """Copy the folder or file ``url`` to ``target``, which appears at once and whole. Return whether there was anything
    to copy.

    Raises:
        InputError: nothing is at ``url``, unless that is ``optional``.
        RunError: no attempt succeeded.
    """
    say(f"Copying {url} to {target}")
    code = _transfer(["download", url, str(target)], patience, say, leftovers=target)
    if code == ABSENT and not optional:
        raise InputError(
            f"{url} must be a folder with files, or a file; the object store has nothing there. Check the name of the bucket and the path."
        )
    return code != ABSENT


def upload(folder: Path, url: str, patience: Patience, say: Callable[[str], None]) -> None:
    """Copy every file of ``folder`` below ``url``; what else is there stays.

    Raises:
        RunError: no attempt succeeded.
    """
    say(f"Copying {folder} to {url}")
    _transfer(["upload", str(folder), url], patience, say)


def _transfer(
    arguments: list[str], patience: Patience, say: Callable[[str], None], leftovers: Path | None = None
) -> int:
    for attempt in range(1, patience.attempts + 1):
        code, problem = _attempt(arguments, patience.timeout)
        if leftovers is not None:
            _remove_parts(leftovers)
        if code in (0, ABSENT):
            return code
        say(f"Attempt {attempt} of {patience.attempts} failed: {problem}")
        if attempt < patience.attempts:
            time.sleep(patience.backoff * 2 ** (attempt - 1))
    verb, source, target = arguments
    raise RunError(
        f"The {verb} of {source} to {target} failed {patience.attempts} times; the last error: {problem}. "
        "Check the path, the job's permission for the bucket and the free disk space; --stage_timeout and --stage_attempts give it more time."
    )


def _attempt(arguments: list[str], timeout: float) -> tuple[int, str]:
    """Exit code and error of one copy. A session of its own: the store's client may have started processes, which must
    not outlive it."""
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        command = python_command("common.launch.transfer", *arguments)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            return 1, f"it did not end within {timeout:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        errors.seek(0)
        return code, next((line.strip() for line in reversed(errors.readlines()) if line.strip()), f"exit code {code}")


def _remove_parts(target: Path) -> None:
    for part in target.parent.glob(f"part.*.{target.name}"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
