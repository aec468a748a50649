"""Sequence classification: one of several classes for a text or a pair of texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from common.backend.batch import IGNORE, Batch, BatchSchema, Field
from common.backend.contract import EvalResult
from common.data.encoding import Columns, Encoded
from common.data.profile import CLASSES
from common.data.roles import LABEL, class_names
from common.data.texts import encode_texts
from common.distributed import Group
from common.metrics import CLASSIFICATION, classification_metrics
from common.models.family import HeadLayout
from common.models.modules import DISTANCES
from common.models.specs import ModelSpec
from common.readouts.readout import bare
from common.tasks.collecting import Rows
from common.tasks.task import Answer, Classified, Draw, Evaluator
from common.tasks.texts import TextOptions, TextTask

__all__ = ["MEMBER", "SequenceClassification", "SequenceClassificationOptions"]

_SMOOTHING = Field("smoothing", ("batch",), "float32")  #: share of the target that is spread over all classes
_SHARPNESS = Field("sharpness", ("batch",), "float32")  #: factor of the logits in training
_SCALE = 10.0
_PROTOTYPES = "prototypes"  #: path of the output whose logits are distances


@dataclass(frozen=True)
class SequenceClassificationOptions(TextOptions):
    """What is trained; what is evaluated and predicted is the cross-entropy and the softmax of the logits."""

    label_smoothing: float = 0.0  #: probability spread evenly over the classes, in training alone
    loss: Literal["softmax", "isomax"] = "softmax"  #: of isomax the logits are -||f - p_c||, p_c one vector a class
    scale: float | None = None  #: of isomax: factor of the logits in training alone; null: 10, as published

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        yield from super().problems()
        if not 0 <= self.label_smoothing < 1:
            yield "label_smoothing", f"must be at least 0 and less than 1; received {self.label_smoothing!r}"
        if self.scale is not None and self.loss == "softmax":
            yield "scale", "belongs to loss: isomax; received softmax; remove one"
        if self.scale is not None and self.scale <= 0:
            yield "scale", f"must be greater than 0; received {self.scale!r}"


class SequenceClassification(TextTask):
    """Cross-entropy over the classes. Labels ``(batch,)`` int32, logits ``(batch, labels)``.

    With ``label_smoothing`` e the training's loss is (1 - e) (-log p_y) + e mean_c(-log p_c) (Szegedy et al. 2016).
    With ``loss: isomax`` (Macedo et al. 2021) it is the cross-entropy of ``scale`` times the logits. Evaluation has
    neither: its loss is the cross-entropy of the logits, and the predicted class is that of the nearest prototype.
    """

    name = "sequence-classification"
    roles = (*TextTask.roles, LABEL)
    FIELDS = (Field("labels", ("batch",), padding=IGNORE),)
    outputs = ("logits",)
    metrics = CLASSIFICATION
    taught = True
    smoothed = "divergence"
    Options = SequenceClassificationOptions
    options: SequenceClassificationOptions

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
        given = {name: np.full(len(rows), value, np.float32) for name, value in self._constants().items()}
        return columns | {"labels": np.array(labels, np.int32)} | given, truncated

    def _constants(self) -> dict[str, float]:
        """Fields of a batch that are the same for every example."""
        found = {_SMOOTHING.name: self.options.label_smoothing} if self.options.label_smoothing else {}
        if self.options.loss == "isomax":
            found[_SHARPNESS.name] = self.options.scale or _SCALE
        return found

    def schema(self, family: Any) -> BatchSchema:
        """With what the loss must know of the options, where they are not the defaults."""
        constants = [field for field in (_SMOOTHING, _SHARPNESS) if field.name in self._constants()]
        return BatchSchema.of(family.INPUTS, self.FIELDS, constants)

    def recorded(self) -> dict[str, Any]:
        """Of isomax also the loss, with its scale."""
        given = {"loss": self.options.loss, "scale": self.options.scale}
        return super().recorded() | (given if self.options.loss == "isomax" else {})

    def layout(self, family: Any, config: Mapping[str, Any]) -> HeadLayout | None:
        """The family's; with isomax its output is the distances to prototypes."""
        layout = super().layout(family, config)
        if layout is None or self.options.loss != "isomax":
            return layout
        named = dataclasses.replace(layout, architecture=bare(layout.architecture), named=False)
        return dataclasses.replace(named, kind=DISTANCES, output=_PROTOTYPES, output_bias=False)

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
        rows = len(inputs["input_ids"])
        given = {name: np.full(rows, value, np.float32) for name, value in self._constants().items()}
        return {"labels": draw("labels", (rows,), 0, spec.config["num_labels"])} | given

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
