"""Counts of n-grams of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["most", "ngrams"]

Grams = Counter[tuple[str, ...]]


def ngrams(tokens: Sequence[str], size: int) -> Grams:
    """How often each sequence of ``size`` tokens occurs."""
    return Counter(zip(*(tokens[start:] for start in range(size)), strict=False))


def most(counts: Iterable[Grams]) -> Grams:
    """For each n-gram the largest of its counts."""
    found: Grams = Counter()
    for count in counts:
        found |= count
    return found
