"""Scoring a model on one split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from common.backend import Batch, Engine, EvalResult
from common.data import Encoded, evaluation_batches
from common.distributed import share

__all__ = ["evaluate", "results"]

Numbered = tuple[np.ndarray, Batch]


def evaluate(
    engine: Engine, encoded: Encoded, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """The task's metrics of the whole split. ``check`` is called before every batch and may raise.

    Raises:
        RunError: the model's loss or outputs are not finite.
    """
    evaluator = encoded.task.evaluator(encoded)
    for indices, batch, result in results(engine, encoded, batch_size, length_multiple, check):
        evaluator.update(indices, batch, result)
    evaluator.reduce(engine.group)
    return evaluator.metrics()


def results(
    engine: Engine, encoded: Encoded, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None
) -> Iterator[tuple[np.ndarray, Batch, EvalResult]]:
    """Yield (indices, batch, result) of every batch that falls to this process.

    Every process gets equally many, the last perhaps without an example: each batch tells the shape of the outputs,
    and all processes may have to gather the weights together.
    """

    def idle(numbered: Numbered) -> Numbered:
        indices, batch = numbered
        return indices[:0], encoded.task.ignored(batch)

    batches = evaluation_batches(encoded, batch_size, length_multiple)
    for _, (indices, batch) in share(batches, engine.group, idle):
        check()
        yield indices, batch, engine.eval_step(batch)
