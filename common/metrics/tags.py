"""Metrics of one class a word."""

from __future__ import annotations

import numpy as np

__all__ = ["tag_metrics"]


def tag_metrics(predicted: np.ndarray, truth: np.ndarray, classes: int) -> dict[str, float]:
    """Accuracy, and F1 as a mean over the classes that occur among the tags or the predictions.

    Args:
        predicted: (words,) class indices; -1 where there is no prediction, which is wrong and in no class.
        truth: (words,) class indices.
    """
    seen = predicted >= 0
    hits = np.bincount(truth[predicted == truth], minlength=classes).astype(np.float64)
    occurrences = np.bincount(truth, minlength=classes) + np.bincount(predicted[seen], minlength=classes)
    f1 = (2 * hits)[occurrences > 0] / occurrences[occurrences > 0]
    return {"accuracy": float(hits.sum() / len(truth)), "f1_macro": float(f1.mean())}
