"""Multi-label classification: any number of labels, or none, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.backend.batch import Batch, Field
from common.backend.contract import EvalResult
from common.data.encoding import Columns, Encoded
from common.data.profile import LABEL_LISTS
from common.data.roles import LABELS, label_set_names
from common.data.texts import encode_texts
from common.distributed import Group
from common.errors import InputError, RunError
from common.models.specs import ModelSpec
from common.tasks.collecting import Rows
from common.tasks.task import Answer, Draw
from common.tasks.texts import TextTask

__all__ = ["MEMBER", "THRESHOLD", "MultiLabelClassification", "multi_label_metrics"]

THRESHOLD = 0.5  #: a label is predicted where its probability exceeds it


class MultiLabelClassification(TextTask):
    """Binary cross-entropy of every label. ``labels`` ``(batch, labels)`` float32 is 0 or 1; ``scored`` ``(batch,)``
    int32 is 1 in rows whose labels are known, which may have none. Logits ``(batch, labels)``.

    Every label of a row is a target: the loss of a step is the mean over rows and labels, as in `transformers`.
    """

    name = "multi-label-classification"
    roles = (*TextTask.roles, LABELS)
    FIELDS = (Field("labels", ("batch", "label"), "float32", default=0.0), Field("scored", ("batch",), default=0))
    outputs = ("logits",)
    metrics = {
        "loss": False,
        "f1_micro": True,
        "f1_macro": True,
        "subset_accuracy": True,
        "hamming": False,
    }

    def recognise(self, profile):
        """A text, or two, and lists of labels."""
        return self.recognised(profile, (LABEL_LISTS,), "f1_micro")

    def label_names(self, entry, tables):
        """As published, or the sorted labels of the training split."""
        return entry.label_names or label_set_names(tables, entry.roles["labels"], entry.label_separator)

    def entries(self, labels: tuple[str, ...] | None) -> dict[str, Any]:
        """The labels, of which `transformers` takes the binary cross-entropy."""
        return super().entries(labels) | {"problem_type": "multi_label_classification"}

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Texts with the tokenizer's special tokens, truncated to ``max_length``; the labels where they are known."""
        columns, truncated = encode_texts(rows, tokenizer, max_length)
        if "labels" in rows.column_names:
            labels = np.array(rows["labels"], np.float32)
            columns |= {"labels": labels, "scored": np.ones(len(labels), np.int32)}
        return columns, truncated

    def targets(self, batch: Batch) -> int:
        """Labels of the rows whose labels are known."""
        return int(batch["scored"].sum()) * batch["labels"].shape[1]

    def ignored(self, batch: Batch) -> Batch:
        """No row is scored."""
        return {**batch, "scored": np.zeros_like(batch["scored"])}

    def real_rows(self, batch: Batch) -> np.ndarray:
        """Those whose labels are known."""
        return batch["scored"] == 1

    def evaluator(self, encoded: Encoded) -> _Evaluator:
        """Metrics of `multi_label_metrics`."""
        return _Evaluator(encoded)

    def answers(
        self, rows: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, np.ndarray]], labels: Sequence[str]
    ) -> Iterator[Answer]:
        """``label TAB probability`` of every label above the threshold, separated by tabs, or ``-``; and the
        probability of every label."""
        for row, output in zip(rows, outputs, strict=True):
            probabilities = 0.5 * (1.0 + np.tanh(0.5 * output["logits"].astype(np.float64)))  # never overflows
            scores = {label: float(p) for label, p in zip(labels, probabilities, strict=True)}
            found = [label for label, p in scores.items() if p > THRESHOLD]
            plain = "\t".join(f"{label}\t{scores[label]:.4f}" for label in found) or "-"
            rounded = {label: round(p, 6) for label, p in scores.items()}
            yield Answer(plain, {**row, "labels": found, "probabilities": rounded})

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Any labels, known in every row."""
        rows = len(inputs["input_ids"])
        labels = draw("labels", (rows, spec.config["num_labels"]), 0, 2).astype(np.float32)
        return {"labels": labels, "scored": np.ones(rows, np.int32)}

    def example_labels(self) -> tuple[str, ...]:
        """Three labels."""
        return ("label0", "label1", "label2")


def multi_label_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss (mean binary cross-entropy over examples and labels), micro and macro F1, subset accuracy (every label
    right) and Hamming loss (share of wrong labels), in the definitions of scikit-learn with ``zero_division=0``.

    Args:
        logits: (examples, labels) float; a label is predicted where the logit is positive.
        labels: (examples, labels), 0 or 1.

    Raises:
        RunError: a logit is not finite.
        InputError: there are no examples, or the shapes disagree.
    """
    logits, truth = np.asarray(logits, np.float64), np.asarray(labels) == 1
    if logits.ndim != 2 or logits.shape != truth.shape or logits.size == 0:
        raise InputError(
            "Metrics need logits and labels (examples, labels) of at least one example and label; received "
            f"{logits.shape} and {truth.shape}."
        )
    if not np.isfinite(logits).all():
        bad = np.count_nonzero(~np.isfinite(logits).all(axis=1))
        raise RunError(
            f"Logits must be finite; those of {bad} of {len(logits)} examples are not. "
            "Lower the learning rate or use fp32."
        )
    predicted = logits > 0
    hits, either = (truth & predicted).sum(axis=0), truth.sum(axis=0) + predicted.sum(axis=0)
    losses = np.logaddexp(0.0, logits) - logits * truth
    return {
        "loss": float(losses.mean()),
        "f1_micro": float(2 * hits.sum() / max(either.sum(), 1)),
        "f1_macro": float((2 * hits / np.maximum(either, 1)).mean()),
        "subset_accuracy": float((truth == predicted).all(axis=1).mean()),
        "hamming": float((truth != predicted).mean()),
    }


class _Evaluator:
    def __init__(self, encoded: Encoded):
        self._labels, self._logits = encoded.labels, Rows(len(encoded))

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._logits.update(indices, result.outputs["logits"])

    def reduce(self, group: Group) -> None:
        self._logits.reduce(group)

    def metrics(self) -> dict[str, float]:
        return multi_label_metrics(self._logits.values, self._labels)


MEMBER = MultiLabelClassification()
