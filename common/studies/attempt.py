"""One attempt at a run, seen from outside: a process group with a limit of time and memory, from start to outcome."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from functools import partial

import psutil

from common.launch.processes import die_with_parent
from common.resources import code_folder
from common.studies import outcome as outcomes
from common.studies.job import Job
from common.studies.outcome import Outcome, read_outcome, write_outcome
from common.studies.worker import STOPPED

__all__ = ["GRACE", "Attempt"]

GRACE = 60.0  #: seconds that a run has to save its state before it is killed
_SAMPLE = 0.25  #: seconds between two looks at the memory
_TAIL = 4096  #: bytes of the log in which the error is looked for
_ASKED = (STOPPED, -signal.SIGTERM, -signal.SIGINT)  #: exit codes of a process that was asked to end


class Attempt:
    """Starts the process of ``job``; `poll` until it returns the outcome, which is stored by then.

    The process ends with this one: it receives SIGTERM, and saves its state, also where this process is killed.

    Args:
        threads: of the frameworks in the process; None leaves them as they are.
    """

    def __init__(self, job: Job, threads: int | None = None, grace: float = GRACE):
        self.job, self._grace = job, grace
        self._before = read_outcome(job.outcome)
        self._begun = time.monotonic()
        self._peak: int | None = None
        self._sampled = self._begun
        self._reason: str | None = None  # the status that it was ended for
        self._error: str | None = None
        self._deadline = float("inf")
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log:
            number = (self._before.attempts if self._before else 0) + 1
            log.write(f"== attempt {number}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                job.command(),
                env=_environment(threads),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(die_with_parent, signal.SIGTERM),
            )

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._begun

    def poll(self) -> Outcome | None:
        """Look after the limits; the outcome once the process has ended."""
        code = self._process.poll()
        if code is None:
            self._watch()
            return None
        with contextlib.suppress(ProcessLookupError, PermissionError):  # what it may have left behind
            os.killpg(self._process.pid, signal.SIGKILL)
        outcome = self._outcome(code).after(self._before)
        write_outcome(self.job.outcome, outcome)
        return outcome

    def stop(self, status: str, error: str | None = None) -> None:
        """Ask the process to save its state and end; ``status`` becomes that of the outcome. It is killed where it
        does not end in time."""
        if self._reason is not None:
            return
        self._reason, self._error = status, error
        self._deadline = time.monotonic() + self._grace
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process and what it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _watch(self) -> None:
        now = time.monotonic()
        if now > self._deadline:
            self.kill()
        if self.job.seconds is not None and self.seconds > self.job.seconds:
            self.stop(outcomes.TIMEOUT, f"It took longer than the limit of {self.job.seconds:g} s.")
        if now - self._sampled < _SAMPLE:
            return
        self._sampled = now
        used = _resident(self._process.pid)
        self._peak = max(used, self._peak or 0) or None
        if self.job.memory is not None and used > self.job.memory and self._reason is None:
            shown = f"{used / 2**20:,.0f} MiB of at most {self.job.memory / 2**20:,.0f} MiB"
            self.stop(outcomes.MEMORY, f"Its processes held {shown}.")
            self.kill()  # saving the state would take more

    def _outcome(self, code: int) -> Outcome:
        status, error = outcomes.FAILED, None
        if code == 0:
            status = outcomes.FINISHED
        elif self._reason is not None:
            status, error = self._reason, self._error
        elif code in _ASKED:
            status, error = outcomes.INTERRUPTED, "Somebody ended its process."
        else:
            error = self._last_error(code)
        return Outcome(status, error, self.seconds, self._peak, exit_code=code)

    def _last_error(self, code: int) -> str:
        """What the log ends with."""
        with open(self.job.log, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            lines = log.read().decode("utf-8", "replace").splitlines()
        said = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        if said:
            return "\n".join(lines[said[-1] :]).removeprefix("error: ")
        if code < 0:
            name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
            return f"{name} ended its process; the machine may have had no more memory. See {self.job.log.name}."
        last = next((line for line in reversed(lines) if line.strip() and not line.startswith("== attempt")), "")
        return f"{last.strip()} (exit code {code}; see {self.job.log.name})"


def _environment(threads: int | None) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(code_folder()), os.environ.get("PYTHONPATH"))))
    found = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    if threads is not None and "OMP_NUM_THREADS" not in os.environ:
        found |= {"OMP_NUM_THREADS": str(threads)}
    return found


def _resident(process: int) -> int:
    """Bytes of a process and those below it."""
    total = 0
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(process)
        for one in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total
