"""Comparing random results: same arrangement, dtype and shape, and samples that may come from one distribution."""

from __future__ import annotations

import math

import numpy as np

from common.api_mapping.tolerance import Comparison, Result

__all__ = ["compare_distributions", "largest_gap"]

FACTOR = 2.6  # two samples of one distribution exceed it once in 370,000 times (Smirnov 1948: 2 exp(-2 c^2))


def largest_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sample Kolmogorov-Smirnov statistic: the largest distance between the empirical distributions."""
    first, second = np.sort(first, axis=None), np.sort(second, axis=None)
    points = np.concatenate([first, second])
    return float(
        np.abs(
            np.searchsorted(first, points, "right") / first.size
            - np.searchsorted(second, points, "right") / second.size
        ).max()
    )


def compare_distributions(actual: Result, expected: Result) -> Comparison:
    """Compare arrangement, dtypes, shapes and distributions; gradients are not compared."""
    if actual.layout != expected.layout:
        return Comparison(f"returns {actual.layout}, torch {expected.layout}")
    worst = 0.0
    for number, (ours, theirs) in enumerate(zip(actual.outputs, expected.outputs, strict=True)):
        if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
            return Comparison(f"output {number}: {ours.dtype} {ours.shape}, torch {theirs.dtype} {theirs.shape}")
        if not theirs.size:
            continue
        if not np.isfinite(ours.astype(np.float64)).all():
            return Comparison(f"output {number}: holds NaN or infinity")
        # Sizes as well: zeros amid values of both signs, as dropout makes them, are split between the halves of the
        # distribution.
        gap, allowed = (
            max(largest_gap(ours, theirs), largest_gap(np.abs(ours), np.abs(theirs))),
            FACTOR * math.sqrt(2.0 / theirs.size),
        )
        worst = max(worst, gap)
        if gap > allowed:
            return Comparison(
                f"output {number}: distributions {gap:.3f} apart, samples of one are at most {allowed:.3f} apart",
                error=gap,
            )
    return Comparison(None, error=worst)
