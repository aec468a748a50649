"""The process of one subject: reads requests and writes answers as JSON, one a line. ``python -m common.bench.worker
SUBJECT THREADS``.

Between requests it blocks in a read, so that it takes nothing from the subject that is measured.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle, islice
from typing import Any

from common.backend.batch import Batch
from common.bench import subjects
from common.bench.cases import Case, load_case
from common.bench.generate import Generator, build_generator, random_prompts, timed
from common.bench.latency import Answering
from common.bench.memory import Meter
from common.bench.products import Product, flops, step_products
from common.errors import TwinloraError
from common.tasks import TASKS
from common.training.system import peak_memory

__all__ = ["Session", "main"]


class Session:
    """What a worker has built, and what it can be asked; every public method answers the request of its name."""

    def __init__(self, name: str):
        self.name = name
        self.case: Case
        self.subject: subjects.Subject
        self._generator: Generator
        self._answering: Answering

    def build(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Build the case and the subject; nothing is computed."""
        self.case = load_case(request, bucketed=self.name in subjects.OURS)
        self.subject = subjects.build(self.name, self.case, request.get("device"))
        variables = dict(os.environ)
        self._framework = importlib.import_module(f"{subjects.framework_of(self.name)}_impl.measuring")
        if (
            self.name not in subjects.OURS
        ):  # a peer runs with the framework's own settings, not with those that our backend makes
            os.environ.clear()
            os.environ.update(variables)
        return {"note": self.subject.note}

    def build_generator(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Build the case and what generates; nothing is computed."""
        self.case = load_case({**request, "size": (1, 8), "count": 1})
        self._generator = build_generator(self.name, self.case, request.get("device"))
        return {}

    def generate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Continue ``rows`` prompts of ``columns`` tokens by ``new``."""
        prompts = random_prompts(self.case, request["rows"], request["columns"])
        return timed(self._generator, prompts, request["new"])

    def open_artifact(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Open a run or an exported model for ``answer``."""
        self._answering = Answering(request["path"], request.get("backend"), request.get("device"))
        return self._answering.about

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Seconds of each of ``count`` answers to ``rows`` rows of ``tokens`` tokens."""
        ask, seconds = self._answering.ask(request["rows"], request["tokens"]), []
        for _ in range(request["count"]):
            begun = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - begun)
        return {"seconds": seconds}

    def score(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The artifact's metric on a split of its data."""
        return {"score": self._answering.score(request["split"], request.get("data_dir"))}

    def peak(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Largest resident set of this process so far."""
        return {"bytes": peak_memory()}

    def check(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The loss before training, without dropout."""
        return {"check_loss": self.subject.check_loss(self.case.check)}

    def warm(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One step of each shape of the ``total`` batches to come, and ``count`` more."""
        batches = list(islice(cycle(self.case.batches), request["total"]))
        begun = time.perf_counter()
        shapes = {batch["input_ids"].shape: batch for batch in batches}
        losses = self.subject.losses(
            [self.subject.step(batch) for batch in (*shapes.values(), *batches[: request["count"]])]
        )
        self._stream = cycle(self.case.batches)
        return {"losses": losses, "shapes": len(shapes), "seconds": time.perf_counter() - begun}

    def steps(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Seconds of a step, of the clock and of the processor, over the next ``count``; the losses are read after the
        last."""
        batches = list(islice(self._stream, request["count"]))
        begun, busy = time.perf_counter(), time.process_time()
        losses = self.subject.losses([self.subject.step(batch) for batch in batches])
        seconds, spent = time.perf_counter() - begun, time.process_time() - busy
        return {"seconds": seconds / len(batches), "processor": spent / len(batches), "loss": losses[-1]}

    def count_products(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The unavoidable products of the ``total`` batches to come, for ``limit``."""
        batches = list(islice(cycle(self.case.batches), request["total"]))
        targets = TASKS.get(self.case.spec.task).targets
        kinds = Counter((batch["input_ids"].shape, targets(batch)) for batch in batches)
        example = {(batch["input_ids"].shape, targets(batch)): batch for batch in batches}
        self._products: Counter[Product] = Counter()
        self._fastest: dict[Product, float] = {}
        for kind, times in kinds.items():
            for product, number in step_products(self.case.spec, self.case.plan, example[kind]).items():
                self._products[product] += number * times
        self._batches = len(batches)
        listed = [
            [*dataclasses.astuple(product), times / len(batches)] for product, times in sorted(self._products.items())
        ]
        return {"flops": flops(self._products) / len(batches), "products": listed}

    def limit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Seconds that the products of a step take alone, on average over the batches of ``count_products``: each the
        fastest of all executions so far.

        ``repeats`` are added to them. One round's fastest would not do: a framework's second thread may sleep through
        all of them.
        """
        dtype, device = self.case.config.training.dtype, self.subject.device
        for product in self._products:
            seconds = self._framework.product_seconds(dataclasses.astuple(product), request["repeats"], dtype, device)
            self._fastest[product] = min(seconds, self._fastest.get(product, seconds))
        return {
            "seconds": sum(self._fastest[product] * times for product, times in self._products.items()) / self._batches
        }

    def _losses(self, batch: Batch) -> list[float]:
        return self.subject.losses([self.subject.step(batch)])

    def memory(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Peaks of ``count`` steps, one after the other, above what there was before the first, and in all."""
        meter = Meter(lambda reset: self._framework.device_memory(self.subject.device, reset))
        for batch in islice(cycle(self.case.batches), request["count"]):
            meter.around(partial(self._losses, batch))
        return meter.results()

    def saved(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the forward pass of a step keeps for its backward pass; None where that cannot be seen."""
        return {
            "saved_bytes": self._framework.saved_bytes(
                lambda: self.subject.step(self.case.batches[0]), self.subject.model
            )
        }


def answer(method: Callable[[Mapping[str, Any]], dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request; an error meant for the user is one."""
    try:
        return method(request)
    except TwinloraError as error:
        return {"error": str(error), "exit_code": error.exit_code}


def main() -> None:
    """Serve until standard input ends. Standard output is the protocol's alone: what libraries print goes to standard
    error."""
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
