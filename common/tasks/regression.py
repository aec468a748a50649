"""Regression: one number for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.backend.batch import Batch, Field
from common.backend.contract import EvalResult
from common.data.encoding import Columns, Encoded
from common.data.profile import NUMBERS
from common.data.roles import SCORE
from common.data.texts import encode_texts
from common.distributed import Group
from common.errors import InputError, RunError
from common.models.specs import ModelSpec
from common.tasks.collecting import Rows
from common.tasks.task import Answer, Draw
from common.tasks.texts import TextTask

__all__ = ["MEMBER", "Regression", "correlation", "ranks", "regression_metrics"]


class Regression(TextTask):
    """Squared error. ``labels`` ``(batch,)`` float32; ``scored`` ``(batch,)`` int32 is 1 where there is one, since no
    number could stand for none. Predictions ``(batch, 1)``."""

    name = "regression"
    roles = (*TextTask.roles, SCORE)
    FIELDS = (Field("labels", ("batch",), "float32", default=0.0), Field("scored", ("batch",), default=0))
    outputs = ("predictions",)
    smoothed = "squared"
    metrics = {"loss": False, "mse": False, "mae": False, "pearson": True, "spearman": True}

    def recognise(self, profile):
        """A text, or two, and a number."""
        return self.recognised(profile, (NUMBERS,), "spearman")

    def entries(self, labels: tuple[str, ...] | None) -> dict[str, Any]:
        """One output without a name, of which `transformers` takes the squared error."""
        return {
            "num_labels": 1,
            "id2label": {"0": "LABEL_0"},
            "label2id": {"LABEL_0": 0},
            "problem_type": "regression",
        }

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Texts with the tokenizer's special tokens, truncated to ``max_length``; the scores where there are some."""
        columns, truncated = encode_texts(rows, tokenizer, max_length)
        if "score" in rows.column_names:
            scores = np.array(rows["score"], np.float32)
            columns |= {"labels": scores, "scored": np.ones(len(scores), np.int32)}
        return columns, truncated

    def targets(self, batch: Batch) -> int:
        """Rows with a score."""
        return int(batch["scored"].sum())

    def ignored(self, batch: Batch) -> Batch:
        """No row is scored."""
        return {**batch, "scored": np.zeros_like(batch["scored"])}

    def real_rows(self, batch: Batch) -> np.ndarray:
        """Those with a score."""
        return batch["scored"] == 1

    def evaluator(self, encoded: Encoded) -> _Evaluator:
        """Metrics of `regression_metrics`."""
        return _Evaluator(encoded)

    def answers(
        self, rows: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, np.ndarray]], labels: Any
    ) -> Iterator[Answer]:
        """The number."""
        for row, output in zip(rows, outputs, strict=True):
            value = float(output["predictions"][0])
            yield Answer(f"{value:.4f}", {**row, "score": round(value, 6)})

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Numbers from 0 to 5 with two decimals, and a score in every row."""
        rows = len(inputs["input_ids"])
        scores = (draw("labels", (rows,), 0, 501) / 100).astype(np.float32)
        return {"labels": scores, "scored": np.ones(rows, np.int32)}


def regression_metrics(predictions: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Mean squared error (also as ``loss``), mean absolute error, Pearson's and Spearman's correlation.

    Args:
        predictions: (examples,) float.
        scores: (examples,) float.

    Raises:
        RunError: a prediction is not finite.
        InputError: there are no examples, or the shapes disagree.
    """
    predictions, scores = np.asarray(predictions, np.float64), np.asarray(scores, np.float64)
    if predictions.ndim != 1 or predictions.shape != scores.shape or len(scores) == 0:
        raise InputError(
            "Metrics need predictions (examples,) and scores (examples,) of at least one example; received "
            f"{predictions.shape} and {scores.shape}."
        )
    if not np.isfinite(predictions).all():
        bad = np.count_nonzero(~np.isfinite(predictions))
        raise RunError(
            f"Predictions must be finite; {bad} of {len(predictions)} are not. Lower the learning rate or use fp32."
        )
    errors = predictions - scores
    squared = float((errors**2).mean())
    return {
        "loss": squared,
        "mse": squared,
        "mae": float(np.abs(errors).mean()),
        "pearson": correlation(predictions, scores),
        "spearman": correlation(ranks(predictions), ranks(scores)),
    }


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's; 0 where one of the two is constant, for which it is not defined (SciPy returns NaN)."""
    if first.min() == first.max() or second.min() == second.max():
        return 0.0
    x, y = first - first.mean(), second - second.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()  # squares neither overflow nor vanish
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value from 1, float64; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


class _Evaluator:
    def __init__(self, encoded: Encoded):
        self._scores, self._predictions = encoded.labels, Rows(len(encoded))

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._predictions.update(indices, result.outputs["predictions"])

    def reduce(self, group: Group) -> None:
        self._predictions.reduce(group)

    def metrics(self) -> dict[str, float]:
        return regression_metrics(self._predictions.values[:, 0], self._scores)


MEMBER = Regression()
