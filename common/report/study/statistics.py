"""Spread and significance over few runs, exactly and without assumptions about distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

__all__ = ["FEWEST", "exchanged", "mcnemar", "mean", "spread"]

FEWEST = 5  #: seeds from which on differences are tested: fewer never give a p below 0.06
_MOST = 16  #: pairs of which every exchange of signs is counted
_DRAWS = 2**16
_SAME = 1e-9  #: sums that differ by less, as a share of the sum of all sizes, are equal but for rounding


def mean(values: Sequence[float]) -> float:
    """Exactly rounded."""
    return math.fsum(values) / len(values)


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample; None for one value."""
    if len(values) < 2:
        return None
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def exchanged(differences: Sequence[float]) -> float | None:
    """Two-sided p of paired differences under exchange of the members of every pair (Fisher's randomisation test): the
    share of all sign patterns whose sum is at least as far from 0. None for fewer than `FEWEST` pairs.

    All patterns are counted up to 16 pairs; beyond, 65,536 that a fixed generator gives, the observed one included.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < FEWEST:
        return None
    if len(values) <= _MOST:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(values))))
    else:
        signs = np.random.default_rng(0).choice((-1.0, 1.0), (_DRAWS, len(values)))
        signs[0] = 1.0
    sums = np.abs(signs @ values)
    return float(np.mean(sums >= abs(values.sum()) - _SAME * np.abs(values).sum()))


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p of McNemar's test: whether two models are right equally often on the same examples.

    Args:
        first, second: booleans ``(examples,)``, whether each is right.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    count, least = only_first + only_second, min(only_first, only_second)
    if count == 0:
        return 1.0
    logs = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(least + 1)]
    tail = math.fsum(math.exp(value - count * math.log(2)) for value in logs)
    return min(1.0, 2 * tail)
