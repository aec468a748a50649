"""How well scores tell two kinds apart."""

from __future__ import annotations

import numpy as np

__all__ = ["area_under_curve"]


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the probability that a positive has a higher score than a negative, ties counting as one
    of two (Mann and Whitney 1947); 0.5 where one of the kinds is missing.

    Args:
        scores: ``(n,)`` floats.
        positive: ``(n,)`` booleans.

    Example:
        >>> area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
        0.75
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]  # from 1; equal scores share the mean of their ranks
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
