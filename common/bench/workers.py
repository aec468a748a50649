"""The parent's side of a worker: start, ask, end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

from common.errors import InputError, RunError
from common.resources import code_folder

__all__ = ["Worker", "environment"]

_TAIL = 12  #: lines of a crashed worker's standard error that are shown


def environment(threads: int) -> dict[str, str]:
    """This process's variables with the number of threads that every subject gets."""
    path = os.pathsep.join(filter(None, (str(code_folder()), os.environ.get("PYTHONPATH"))))
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": path,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


class Worker:
    """A process that answers requests. A context manager; leaving it ends the process."""

    def __init__(self, name: str, threads: int, command: list[str] | None = None):
        """``command`` replaces the worker's own, for tests."""
        self.name = name
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  (closed with the process)
        command = command or [sys.executable, "-m", "common.bench.worker", name, str(threads)]
        self._process = subprocess.Popen(
            command,
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *failure: object) -> None:
        self._requests.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._stderr.close()

    def idle_share(self, seconds: float = 1.0) -> float:
        """Processor time that the process takes while nothing is asked of it, as a share of one core; it would be taken
        from the others."""
        process = psutil.Process(self._process.pid)
        before = process.cpu_times()
        time.sleep(seconds)
        after = process.cpu_times()
        return (after.user + after.system - before.user - before.system) / seconds

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            InputError: the worker refuses the request.
            RunError: it fails, or ends.
        """
        try:
            self._requests.write(json.dumps({"do": do, **request}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RunError(
                f"Subject {self.name} ended with exit code {self._process.wait()} when asked for {do}. Its last lines:\n{self._last_lines()}"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise (InputError if answer["exit_code"] == 2 else RunError)(f"Subject {self.name}: {answer['error']}")
        return answer

    def _last_lines(self) -> str:
        self._stderr.seek(0)
        return "\n".join(f"  {line}" for line in self._stderr.read().splitlines()[-_TAIL:]) or "  (none)"
