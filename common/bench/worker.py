"""The process of one subject: reads requests and writes answers as JSON, one a line. ``python -m common.bench.worker SUBJECT THREADS``.

Between requests it blocks in a read, so that it takes nothing from the subject that is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

from common.bench import subjects
from common.bench.cases import Case, load_case
from common.errors import TwinloraError

__all__ = ["Session", "main"]


class Session:
    """What a worker has built, and what it can be asked; every public method answers the request of its name."""

    def __init__(self, name: str):
        self.name = name
        self.case: Case
        self.subject: subjects.Subject

    def build(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Build the subject and run one step of each shape of batch and ``warmup`` more."""
        self.case = load_case(request, bucketed=self.name in subjects.OURS)
        self.subject = subjects.build(self.name, self.case, request.get("device"))
        loss = self.subject.check_loss(self.case.check)
        return {"check_loss": loss, "note": self.subject.note}

    def warm(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One step of each shape of the ``total`` batches to come, and ``count`` more."""
        batches = list(islice(cycle(self.case.batches), request["total"]))
        begun = time.perf_counter()
        shapes = {batch["input_ids"].shape: batch for batch in batches}
        losses = self.subject.losses([self.subject.step(batch) for batch in (*shapes.values(), *batches[: request["count"]])])
        self._stream = cycle(self.case.batches)
        return {"losses": losses, "shapes": len(shapes), "seconds": time.perf_counter() - begun}

    def steps(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Seconds of a step, over the next ``count``; the losses are read after the last."""
        batches = list(islice(self._stream, request["count"]))
        begun = time.perf_counter()
        losses = self.subject.losses([self.subject.step(batch) for batch in batches])
        return {"seconds": (time.perf_counter() - begun) / len(batches), "loss": losses[-1]}


def answer(method: Callable[[Mapping[str, Any]], dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request; an error meant for the user is one."""
    try:
        return method(request)
    except TwinloraError as error:
        return {"error": str(error), "exit_code": error.exit_code}


def main() -> None:
    """Serve until standard input ends. Standard output is the protocol's alone: what libraries print goes to standard error."""
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    name, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):  # thread pools of a framework's own do not read OMP_NUM_THREADS
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    session = Session(name)
    for line in sys.stdin:
        request = json.loads(line)
        protocol.write(json.dumps(answer(getattr(session, request["do"]), request)) + "\n")
        protocol.flush()


if __name__ == "__main__":
    main()
