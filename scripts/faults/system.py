#!/usr/bin/env python3
"""Have the operating system refuse what a training asks of it, at every operation on its files, then continue the run.

    python scripts/faults/system.py --backend pytorch --step 3 -o runs/faults/system.json

From one operation on, files cannot grow (as on a full disk), cannot be written at all (as on a disk that became
read-only), cannot be opened for want of descriptors, or the run directory is gone. Each must end in one message and
exit code 1 or 2, every file that is there must be whole, and after ``--resume`` the run must hold the bytes of one that
nothing happened to.
"""

from __future__ import annotations

import contextlib
import errno
import io
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from laboratory import Counts, Operations, argument_parser, differences, experiment, finish, problems_of, watch

_PROMISE = "one message, exit code 1 or 2, every file whole; after --resume the bytes of an unbroken run"
_LONGEST = 1200.0  #: seconds after which a run counts as hanging


def _full(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def _read_only(folder: Path) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        inside = event == "open" and isinstance(arguments[0], str | Path) and str(arguments[0]).startswith(str(folder))
        if inside and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

    sys.addaudithook(hook)


def _no_descriptors(folder: Path) -> None:
    held = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _vanished(folder: Path) -> None:
    shutil.rmtree(folder / "trial", ignore_errors=True)


FAULTS: dict[str, Callable[[Path], None]] = {
    "files cannot grow (disk full)": _full,
    "read-only from one moment on": _read_only,
    "no more file descriptors": _no_descriptors,
    "run directory deleted": _vanished,
}


def _train(backend: str, folder: str, data: Path | None, fault: str | None, at: int, result: Any) -> None:
    """In a process of its own: the command, with the fault from operation ``at`` on."""
    from common.cli.main import main

    experiment(Path(folder), data)
    runs = Path(folder) / "runs"
    operations = Operations({at: lambda: FAULTS[fault](runs)} if fault else {})
    watch(runs, operations)
    said = io.StringIO()
    command = ["train", f"{folder}/trial.yaml", "--backend", backend, "--device", "cpu", "--output", str(runs)]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code: Any = main([*command, "--resume"])
        except BaseException as error:  # a traceback is a finding
            code = f"{type(error).__name__}: {error}"
    result.send((code, said.getvalue(), operations.count))


def _run(backend: str, folder: Path, data: Path | None, fault: str | None = None, at: int = 0) -> tuple[Any, str, int]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train, args=(backend, str(folder), data, fault, at, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_LONGEST):
            raise TimeoutError("the training has not ended")
        return ours.recv()
    except EOFError:
        return "it ended without a word", "", 0
    finally:
        process.kill()
        process.join()


def _trial(backend: str, folder: Path, whole: Path, data: Path | None, fault: str, at: int) -> list[str]:
    run = Path("runs/trial") / backend
    code, said, _ = _run(backend, folder, data, fault, at)
    problems = [] if code in (0, 1, 2) else [f"it ended with {code}"]
    if code in (1, 2) and not any(line.startswith("error: ") for line in said.splitlines()):
        problems.append(f"no message: {said[-200:]}")
    if (folder / run).exists():
        problems += problems_of(folder / run)
    code, said, _ = _run(backend, folder, data)
    return problems + (
        [f"continuing it ended with {code}: {said[-300:]}"] if code else differences(folder / run, whole / run)
    )


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=("pytorch", "mindspore"), default="pytorch")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="every Nth operation only")
    parser.add_argument("--only", metavar="TEXT", default="", help="faults whose name holds this")
    arguments = parser.parse_args()
    import common.cli.main  # noqa: F401
    from common import backend as backends

    backends.load(arguments.backend)
    where = {"pytorch": "PyTorch", "mindspore": "MindSpore"}[arguments.backend]
    Counts.output = arguments.output
    with tempfile.TemporaryDirectory() as whole:
        code, said, operations = _run(arguments.backend, Path(whole), arguments.data)
        if code:
            sys.exit(f"the unbroken run ended with {code}: {said}")
        for fault in (name for name in FAULTS if arguments.only in name):
            counts = Counts(fault, where, _PROMISE)
            for at in range(1, operations + 1, arguments.step):
                with tempfile.TemporaryDirectory() as folder:
                    trial = (arguments.backend, Path(folder), Path(whole), arguments.data, fault, at)
                    counts.guarded(f"from operation {at} on", lambda trial=trial: _trial(*trial))
            counts.notes["operations on files in a run"] = operations
    finish()


if __name__ == "__main__":
    main()
