"""Uncertainty of a metric over the examples of a test set: bootstrap intervals, and tests between two systems.

Which examples a resample holds depends on (seed, number of examples) alone, so that systems are compared on the same
resamples, and figures are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from common.random import words

__all__ = ["Comparison", "Interval", "compare", "interval"]

Score = Callable[[np.ndarray], np.ndarray]  #: sums ``(..., statistics)`` to values ``(...)``
_BLOCK = 100  #: resamples whose indices exist at once
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value, and what holds 95 % of the values of resamples (Efron's percentile interval)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Second system less first: the difference, its interval over paired resamples (Koehn 2004), and the probability of
    a difference at least as large if the systems were interchangeable (approximate randomisation, Noreen 1989)."""

    difference: float
    low: float
    high: float
    p_value: float


def interval(statistics: np.ndarray, score: Score, resamples: int = 1000, seed: int = 0) -> Interval:
    """The metric of all examples and its interval.

    Args:
        statistics: ``(examples, statistics)``, of `common.metrics.text.metric.TextMetric.statistics`.
        resamples: number of resamples; each has as many examples as there are, with replacement.

    Raises:
        InputError: there is no example or no resample.
    """
    _check(len(statistics), resamples)
    values = score(_resampled(statistics, resamples, seed))
    return Interval(float(score(statistics.sum(0))), *_bounds(values))


def compare(first: np.ndarray, second: np.ndarray, score: Score, resamples: int = 1000, seed: int = 0) -> Comparison:
    """The difference of two systems on the same examples.

    Args:
        first: statistics of the first system, ``(examples, statistics)``.
        second: of the second, in the same order.

    Raises:
        InputError: they have different examples.
    """
    if first.shape != second.shape:
        raise InputError(
            f"Two systems are compared on the same examples; received {len(first)} and {len(second)}. "
            "Give outputs for the same inputs in the same order."
        )
    _check(len(first), resamples)
    difference = float(score(second.sum(0)) - score(first.sum(0)))
    paired = score(_resampled(second, resamples, seed)) - score(_resampled(first, resamples, seed))
    exchanged = _exchanged(first, second, score, resamples, seed)
    slack = 1e-12 * max(1.0, abs(difference))  # sums in another order differ in the last bits
    extreme = int((np.abs(exchanged) >= abs(difference) - slack).sum())
    return Comparison(difference, *_bounds(paired), (extreme + 1) / (resamples + 1))


def _check(examples: int, resamples: int) -> None:
    if examples < 1 or resamples < 1:
        raise InputError(
            f"An interval needs at least one example and one resample; received {examples} and {resamples}."
        )


def _resampled(statistics: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums ``(resamples, statistics)``."""
    count = len(statistics)
    found = []
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        chosen = words(seed, f"bootstrap.{count}.{start}", (size, count)) % np.uint64(count)
        weights = np.stack([np.bincount(row.astype(np.int64), minlength=count) for row in chosen])
        found.append(weights.astype(np.float64) @ statistics)
    return np.concatenate(found)


def _exchanged(first: np.ndarray, second: np.ndarray, score: Score, resamples: int, seed: int) -> np.ndarray:
    """Differences ``(resamples,)`` after each example's outputs were exchanged or not, with equal probability."""
    count, total = len(first), first.sum(0) + second.sum(0)
    found = []
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        swap = (words(seed, f"exchange.{count}.{start}", (size, count)) >> np.uint64(63)).astype(np.float64)
        mixed = first.sum(0) + swap @ (second - first)
        found.append(score(total - mixed) - score(mixed))
    return np.concatenate(found)


def _bounds(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
