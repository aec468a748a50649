"""Metrics of classes, in the definitions and zero-division conventions of scikit-learn (``zero_division=0``)."""

from __future__ import annotations

import math

import numpy as np

from common.errors import InputError, RunError

__all__ = ["CLASSIFICATION", "class_scores", "classification_metrics", "confusion_matrix"]

#: name to whether higher is better
CLASSIFICATION = {"loss": False, "accuracy": True, "matthews_correlation": True} | {
    f"{metric}_{average}": True for metric in ("precision", "recall", "f1") for average in ("macro", "weighted")
}


def classification_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss (mean cross-entropy, natural logarithm), accuracy, Matthews correlation, and precision, recall and F1 (macro
    and weighted).

    Args:
        logits: (examples, classes) float; the prediction is the first largest.
        labels: (examples,) integer class indices.

    Macro means are over classes that occur among the labels or the predictions.

    Raises:
        RunError: a logit is not finite.
        InputError: there are no examples, the shapes disagree, or a label is no class index.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise InputError(
            f"Metrics need logits (examples, classes) and labels (examples,) of at least one example; received {logits.shape} and {labels.shape}."
        )
    if not np.isfinite(logits).all():
        bad = np.count_nonzero(~np.isfinite(logits).all(axis=1))
        raise RunError(
            f"Logits must be finite; those of {bad} of {len(logits)} examples are not. Lower the learning rate or use fp32."
        )
    classes = logits.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"Labels must lie in 0..{classes - 1}; received {labels.min()}..{labels.max()}. Unlabelled examples cannot be scored."
        )
    predictions = logits.argmax(axis=1)
    confusion = confusion_matrix(labels, predictions, classes).astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    metrics = {
        "loss": losses.mean(),
        "accuracy": np.trace(confusion) / len(labels),
        "matthews_correlation": _matthews(confusion),
    }
    return {name: float(value) for name, value in (metrics | _averages(confusion)).items()}


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts ``(classes, classes)``: row by label, column by prediction."""
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """``precision``, ``recall`` and ``f1`` of every class, ``(classes,)``; 0 where one has no denominator."""
    hits, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, support + predicted),
    }


def _matthews(confusion: np.ndarray) -> float:
    """Multi-class Matthews correlation (Gorodkin 2004), 0 where labels or predictions are constant. ``confusion[label,
    prediction]``."""
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    total = confusion.sum()
    covariance = np.trace(confusion) * total - support @ predicted
    variances = (total**2 - predicted @ predicted) * (total**2 - support @ support)
    return covariance / math.sqrt(variances) if variances > 0 else 0.0


def _averages(confusion: np.ndarray) -> dict[str, float]:
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    occurring = support + predicted > 0
    averages = {}
    for name, values in class_scores(confusion).items():
        averages[f"{name}_macro"] = values[occurring].mean()
        averages[f"{name}_weighted"] = values @ support / support.sum()
    return averages


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 0)
