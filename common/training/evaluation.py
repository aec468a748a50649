"""Scoring a model on one split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.backend import Engine
from common.data import Encoded, evaluation_batches
from common.metrics import classification_metrics, language_metrics

__all__ = ["class_logits", "evaluate"]


def evaluate(engine: Engine, encoded: Encoded, task: str, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Metrics of the whole split; see ``common.metrics`` for their definitions. ``check`` is called before every batch and may raise.

    Raises:
        RunError: the model's loss or logits are not finite.
    """
    if task == "sequence-classification":
        logits, labels = class_logits(engine, encoded, batch_size, length_multiple, check)
        return classification_metrics(logits, labels)
    loss_sum, count = 0.0, 0
    for _, batch in evaluation_batches(encoded, batch_size, length_multiple):
        check()
        result = engine.eval_step(batch)
        loss_sum, count = loss_sum + result.loss_sum, count + result.count
    return language_metrics(loss_sum, count)


def class_logits(
    engine: Engine, encoded: Encoded, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``(examples, labels)`` and labels ``(examples,)`` in the order of the split."""
    rows, order, labels = [], [], []
    for indices, batch in evaluation_batches(encoded, batch_size, length_multiple):
        check()
        rows.append(engine.eval_step(batch).logits[: len(indices)])
        order.append(indices)
        labels.append(batch["labels"][: len(indices)])
    back = np.argsort(np.concatenate(order))
    return np.concatenate(rows)[back], np.concatenate(labels)[back]
