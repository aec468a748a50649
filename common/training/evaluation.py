"""Scoring a model on one split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.backend import Batch, Engine, unscored
from common.data import Encoded, evaluation_batches
from common.distributed import share, sum_exactly
from common.metrics import classification_metrics, language_metrics

__all__ = ["class_logits", "evaluate"]


def evaluate(
    engine: Engine,
    encoded: Encoded,
    task: str,
    batch_size: int,
    length_multiple: int,
    check: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Metrics of the whole split; see ``common.metrics`` for their definitions. ``check`` is called before every batch and may raise.

    Raises:
        RunError: the model's loss or logits are not finite.
    """
    if task == "sequence-classification":
        logits, labels = class_logits(engine, encoded, batch_size, length_multiple, check)
        return classification_metrics(logits, labels)
    sums = np.zeros(2)
    for _, (_, batch) in share(evaluation_batches(encoded, batch_size, length_multiple), engine.group, _idle):
        check()
        result = engine.eval_step(batch)
        sums += result.loss_sum, result.count
    loss_sum, count = sum_exactly(engine.group, sums)
    return language_metrics(float(loss_sum), round(count))


def class_logits(
    engine: Engine, encoded: Encoded, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``(examples, labels)`` and labels ``(examples,)`` in the order of the split."""
    logits = None
    for _, (indices, batch) in share(evaluation_batches(encoded, batch_size, length_multiple), engine.group, _idle):
        check()
        found = engine.eval_step(batch).logits[: len(indices)]
        logits = np.zeros((len(encoded), found.shape[1]), np.float32) if logits is None else logits
        logits[indices] = found
    return engine.group.sum_array(logits), encoded.labels


def _idle(numbered: tuple[np.ndarray, Batch]) -> tuple[np.ndarray, Batch]:
    """Of no example. Every process needs a batch, since it tells the number of classes, and since all may have to gather the weights together."""
    indices, batch = numbered
    return indices[:0], unscored(batch)
