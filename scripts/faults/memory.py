#!/usr/bin/env python3
"""Train for many steps in one process, and see whether its memory grows.

    python scripts/faults/memory.py --steps 2000 --data DATA/sst2 -o runs/faults/memory.json

Each backend trains as it does by default (MindSpore in compiled graphs) with logging, evaluations and checkpoints. After
a fifth of the steps every shape has been met; from there to the end the resident memory of the process may grow by
`ALLOWED` bytes for a step at most, which is less than any array of the step holds.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from laboratory import Counts, Quiet, argument_parser, experiment, finish

ALLOWED = 1024
_PROMISE = f"from a fifth of the steps on, resident memory grows by {ALLOWED} bytes for a step at most"
_LONGEST = 7200.0
_WHERE = {"pytorch": "PyTorch", "mindspore": "MindSpore"}


def resident() -> int:
    """Bytes of this process that lie in memory."""
    with open("/proc/self/statm", encoding="ascii") as counts:
        return int(counts.read().split()[1]) * 4096


class Watching(Quiet):
    """Notes the memory at every step that is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def step(self, event: dict[str, Any]) -> None:
        """Note it."""
        self.sizes.append(resident())


def _train(folder: str, data: Path | None, backend: str, steps: int, result: Any) -> None:
    from common.training.run import train

    config = experiment(Path(folder), data, steps, max(steps // 10, 1))
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, compile=None, epochs=steps))
    watching = Watching()
    train(config, backend, "cpu", Path(folder) / "runs", progress=watching)
    result.send(watching.sizes)


def growth(sizes: list[int]) -> float:
    """Bytes for a step, between the medians of the second fifth and of the last one: single peaks do not count."""
    part = max(len(sizes) // 5, 1)
    return (statistics.median(sizes[-part:]) - statistics.median(sizes[part : 2 * part])) / (len(sizes) - 2 * part)


def trial(backend: str, data: Path | None, steps: int, counts: Counts) -> list[str]:
    """One training in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_train, args=(folder, data, backend, steps, theirs))
        process.start()
        theirs.close()
        sizes = ours.recv() if ours.poll(_LONGEST) else None
        process.kill()
        process.join()
    if sizes is None:
        return ["the training has not ended"]
    each = growth(sizes)
    counts.notes |= {"steps": steps, "MiB at the end": round(sizes[-1] / 2**20), "bytes for a step": round(each)}
    return [f"{each:.0f} bytes for a step"] if each > ALLOWED else []


def main() -> None:
    """The command."""
    parser = argument_parser(__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, metavar="N")
    parser.add_argument("--backends", nargs="+", choices=_WHERE, default=list(_WHERE))
    arguments = parser.parse_args()
    if arguments.steps < 10:
        sys.exit("--steps must be at least 10, so that there is a beginning and an end to compare.")
    Counts.output = arguments.output
    for backend in arguments.backends:
        counts = Counts("many steps in one process", _WHERE[backend], _PROMISE)
        counts.guarded(
            f"{arguments.steps} steps",
            lambda backend=backend, counts=counts: trial(backend, arguments.data, arguments.steps, counts),
        )
    finish()


if __name__ == "__main__":
    main()
