#!/usr/bin/env python3
"""Kill a training with SIGKILL, continue it, and compare what it ends in with a run that nothing happened to.

    python scripts/faults/kills.py --backend pytorch --random 100 --every-write --data DATA/sst2 -o
    runs/faults/kills-pytorch.json

``--random N``: N kills at moments that are uniform over the time of a whole run; a run is killed and resumed until it
comes to its end. ``--every-write``: one run for each operation on a file of the run directory (opened for writing,
renamed, removed, made, brought to the disk), killed before that operation. After every kill each file must be whole,
and a finished run must hold the bytes of one that was never killed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from laboratory import Counts, Operations, Quiet, argument_parser, differences, experiment, finish, problems_of, watch

_LONGEST = 1200.0  #: seconds after which a run counts as hanging
_PROMISE = "every file whole after the kill; after --resume adapter, checkpoint, log, metrics and report are those of an unbroken run"


def _train(folder: str, data: Path | None, backend: str, ready: Any, kill_at: int | None) -> None:
    """In a process of its own: train with ``--resume``, and end by SIGKILL before the ``kill_at``-th operation on a
    file."""
    from common import backend as backends
    from common.training.run import train

    config = experiment(Path(folder), data)
    backends.load(backend)
    end = {kill_at: lambda: os.kill(os.getpid(), signal.SIGKILL)} if kill_at else {}
    operations = Operations(end)
    watch(Path(folder) / "runs", operations)
    ready.send(None)
    train(config, backend, "cpu", Path(folder) / "runs", resume=True, progress=Quiet())
    ready.send(operations.count)


class Runner:
    """Starts trainings: forks of this process, which has imported everything and computed nothing."""

    def __init__(self, backend: str, data: Path | None):
        self.backend, self.data = backend, data
        self.context = multiprocessing.get_context("fork")
        import matplotlib.figure  # noqa: F401

        from common import backend as backends
        from common.training import run  # noqa: F401

        backends.load(backend)

    def __call__(self, folder: Path, after: float | None = None, kill_at: int | None = None) -> tuple[int, float, int]:
        """Exit code (-9: killed), seconds of the training, and operations on files of a run that ended by itself."""
        ours, theirs = self.context.Pipe(duplex=False)
        arguments = (str(folder), self.data, self.backend, theirs, kill_at)
        process = self.context.Process(target=_train, args=arguments)
        process.start()
        theirs.close()
        if not ours.poll(_LONGEST):
            process.kill()
            raise TimeoutError("the training has not begun")
        ours.recv()
        begun = time.monotonic()
        process.join(_LONGEST if after is None else after)
        if process.is_alive():
            process.kill()
            process.join()
            if after is None:
                raise TimeoutError("the training has not ended")
        seconds = time.monotonic() - begun
        operations = ours.recv() if process.exitcode == 0 else 0
        return process.exitcode, seconds, operations


def random_kills(runner: Runner, kills: int, seed: int, counts: Counts) -> None:
    """Runs that are killed again and again, each until it has come to its end."""
    with tempfile.TemporaryDirectory() as whole:
        code, seconds, _ = runner(Path(whole))
        if code:
            raise SystemExit(f"the unbroken run ended with {code}")
        moments, run = random.Random(seed), Path("runs/trial") / runner.backend
        finished = 0
        while counts.tried < kills:
            with tempfile.TemporaryDirectory() as folder:
                code = -9
                while code == -9:
                    left = counts.tried < kills
                    code, _, _ = runner(Path(folder), moments.uniform(0, seconds) if left else None)
                    if code == -9:
                        counts.trial(f"kill {counts.tried + 1}", problems_of(Path(folder) / run))
                finished += 1
                counts.notes["finished runs compared"] = finished
                name = f"run {finished}"
                problems = [f"exit code {code}"] if code else differences(Path(folder) / run, Path(whole) / run)
                if problems:
                    counts.wrong.append({"trial": name, "problems": problems})
                    print(f"WRONG {name}: {problems}", file=sys.stderr, flush=True)
        counts.notes["seconds of an unbroken run"] = round(seconds, 2)


def kills_at_every_write(runner: Runner, counts: Counts, first: int = 1, step: int = 1) -> None:
    """One run for every operation on a file."""
    with tempfile.TemporaryDirectory() as whole:
        code, _, operations = runner(Path(whole))
        if code:
            raise SystemExit(f"the unbroken run ended with {code}")
        run = Path("runs/trial") / runner.backend
        for number in range(first, operations + 1, step):
            with tempfile.TemporaryDirectory() as folder:

                def trial(folder: Path = Path(folder), number: int = number) -> list[str]:
                    code, _, _ = runner(folder, kill_at=number)
                    if code != -9:
                        return [f"it was to be killed and ended with {code}"]
                    problems = problems_of(folder / run)
                    code, _, _ = runner(folder)
                    return problems + ([f"exit code {code}"] if code else differences(folder / run, Path(whole) / run))

                counts.guarded(f"before operation {number}", trial)
        counts.notes["operations on files in a run"] = operations


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--backend", required=True, choices=("pytorch", "mindspore"))
    parser.add_argument("--random", type=int, default=0, metavar="N", help="kills at random moments")
    parser.add_argument("--every-write", action="store_true")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="of --every-write: every Nth operation only")
    arguments = parser.parse_args()
    Counts.output = arguments.output
    runner = Runner(arguments.backend, arguments.data)
    where = {"pytorch": "PyTorch", "mindspore": "MindSpore"}[arguments.backend]
    if arguments.random:
        random_kills(runner, arguments.random, arguments.seed, Counts("kill -9 at random moments", where, _PROMISE))
    if arguments.every_write:
        counts = Counts("kill -9 before every operation on a file", where, _PROMISE)
        kills_at_every_write(runner, counts, step=arguments.step)
    finish()


if __name__ == "__main__":
    main()
