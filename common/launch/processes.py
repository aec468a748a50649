"""Starting processes: the log that each keeps, child processes whose output goes there, and what happens to them when
somebody ends the job."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from common.launch.descendants import adopt_orphans, descendants, kill_descendants
from common.resources import code_folder
from common.terminal import printable_line

__all__ = ["ROOT", "Log", "die_with_parent", "python_command", "run_logged"]

ROOT = code_folder()  #: the code directory, wherever the platform put it
_PR_SET_PDEATHSIG = 1


class Log:
    """Lines for standard output, which the platform collects, and for a file of this process's own, once there is one.
    ``name``: "rank 3"."""

    def __init__(self, name: str):
        self.name = name
        self._file: TextIO | None = None

    def open(self, path: Path) -> None:
        """Write to ``path`` too, from now on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  (open for the length of the job)

    def say(self, text: str) -> None:
        """Write the lines of ``text``."""
        for line in text.splitlines():
            print(f"[{self.name}] {printable_line(line)}", flush=True)
            if self._file is not None:
                self._file.write(line + "\n")


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module.main`` from this code directory, whatever else the working directory holds, and
    installed or not."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, *arguments]


def run_logged(
    command: Sequence[str],
    log: Log,
    environ: Mapping[str, str],
    directory: Path,
    meanwhile: Callable[[], None] = lambda: None,
    every: float | None = None,
    stop: int = signal.SIGTERM,
) -> int:
    """Run ``command`` in ``directory`` with its output in ``log``; return its exit code, 128 + N where signal N ended
    it.

    Ctrl-C and SIGTERM go to the command as ``stop`` and are waited for: training saves its state then. It runs in a
    process group of its own, so that it receives them once, and ends with this process even where that one is killed.

    Args:
        meanwhile: called ``every`` so many seconds while the command runs.
    """
    adopt_orphans()
    before = descendants()
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**environ, "PYTHONUNBUFFERED": "1"},  # what was said before a crash must be in the log
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=partial(die_with_parent, stop),
    )
    reader = threading.Thread(target=_copy, args=(process.stdout, log), daemon=True)
    reader.start()
    previous = {
        number: signal.signal(number, lambda *_: process.send_signal(stop))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        while True:
            try:
                code = process.wait(every)
                break
            except subprocess.TimeoutExpired:
                meanwhile()
    finally:
        kill_descendants(spare=before)  # what a launcher that was ended while it started left behind
        for number, handler in previous.items():
            signal.signal(number, handler)
    reader.join(5)  # grandchildren may keep the pipe open
    return code if code >= 0 else 128 - code


def _copy(stream: TextIO, log: Log) -> None:
    for line in stream:
        log.say(line)


def die_with_parent(stop: int) -> None:
    """In a child, before it becomes another program: a process group of its own, and ``stop`` where this process ends
    without having waited for it."""
    os.setpgid(0, 0)
    signal.signal(stop, signal.SIG_DFL)  # nohup, or a shell that put this in the background, lets children ignore it
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop)
