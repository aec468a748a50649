"""Counts of n-grams of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from common.terminal import notice

__all__ = ["most", "ngrams", "remark_short"]

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


def remark_short(name: str, tokens: Sequence[int], order: int) -> None:
    """Say where a metric of the E2E script counts fewer n-grams than none: its score is then not what the texts deserve,
    mostly higher.

    Args:
        tokens: of each output.
        order: the longest n-grams that the metric counts.
    """
    short = sum(count < order - 1 for count in tokens)
    if short:
        notice(
            f"{name} counts as the E2E script does: {short} of {len(tokens)} outputs {'has' if short == 1 else 'have'} "
            f"fewer than {order - 1} tokens, which takes n-grams from the others and distorts the score. The metric "
            "bleu has no such fault."
        )
