"""Sequence classification: one of several classes for a text or a pair of texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.backend.contract import EvalResult
from common.data.encoding import Columns, Encoded
from common.data.profile import CLASSES
from common.data.roles import LABEL, class_names
from common.data.texts import encode_texts
from common.distributed import Group
from common.metrics import CLASSIFICATION, classification_metrics
from common.models.specs import ModelSpec
from common.tasks.collecting import Rows
from common.tasks.task import Answer, Classified, Draw, Evaluator
from common.tasks.texts import TextTask

__all__ = ["MEMBER", "SequenceClassification"]


class SequenceClassification(TextTask):
    """Cross-entropy over the classes. Labels ``(batch,)`` int32, logits ``(batch, labels)``."""

    name = "sequence-classification"
    roles = (*TextTask.roles, LABEL)
    FIELDS = (Field("labels", ("batch",), padding=IGNORE),)
    outputs = ("logits",)
    metrics = CLASSIFICATION
    taught = True
    smoothed = "divergence"

    def recognise(self, profile):
        """A text, or two, and a class; before other tasks where the user named a label that fits none better."""
        found = self.recognised(profile, (CLASSES,), "accuracy")
        return None if found is None else dataclasses.replace(found, evidence=found.evidence + 1)

    def label_names(self, entry, tables):
        """As published, or the sorted labels of the training split."""
        return entry.label_names or class_names(tables, entry.roles["label"])

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Texts with the tokenizer's special tokens, truncated to ``max_length``."""
        columns, truncated = encode_texts(rows, tokenizer, max_length)
        labels = list(rows["label"]) if "label" in rows.column_names else [IGNORE] * len(rows)
        return columns | {"labels": np.array(labels, np.int32)}, truncated

    def evaluator(self, encoded: Encoded) -> _Evaluator:
        """Metrics of `common.metrics.classification_metrics`."""
        return _Evaluator(encoded)

    def classified(self, evaluator: Evaluator) -> Classified:
        """The first largest logit, and its probability."""
        assert isinstance(evaluator, _Evaluator)  # its own
        return evaluator.classified()

    def answers(
        self, rows: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, np.ndarray]], labels: Sequence[str]
    ) -> Iterator[Answer]:
        """``label TAB probability``, and the probability of every label."""
        for row, output in zip(rows, outputs, strict=True):
            logits = output["logits"].astype(np.float64)
            powers = np.exp(logits - logits.max())
            probabilities = powers / powers.sum()
            best = int(np.argmax(probabilities))
            scores = {label: round(float(p), 6) for label, p in zip(labels, probabilities, strict=True)}
            full = {**row, "label": labels[best], "probabilities": scores}
            yield Answer(f"{labels[best]}\t{probabilities[best]:.4f}", full)

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Any class."""
        return {"labels": draw("labels", (len(inputs["input_ids"]),), 0, spec.config["num_labels"])}

    def example_labels(self) -> tuple[str, ...]:
        """Three classes."""
        return ("class0", "class1", "class2")


class _Evaluator:
    def __init__(self, encoded: Encoded):
        self._labels, self._logits = encoded.labels, Rows(len(encoded))

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._logits.update(indices, result.outputs["logits"])

    def reduce(self, group: Group) -> None:
        self._logits.reduce(group)

    def metrics(self) -> dict[str, float]:
        return classification_metrics(self._logits.values, self._labels)

    def classified(self) -> Classified:
        logits = self._logits.values.astype(np.float64)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        return Classified(np.asarray(self._labels), logits.argmax(axis=1), probabilities.max(axis=1))


MEMBER = SequenceClassification()
