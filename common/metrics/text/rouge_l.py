"""ROUGE-L (Lin 2004) as coco-caption, and with it the script of the E2E challenge, computes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.metrics.text.metric import TextMetric
from common.metrics.text.tokens import penn

__all__ = ["MEMBER", "RougeL", "common_length"]

_BETA = 1.2  #: weight of recall


class RougeL(TextMetric):
    """Statistics: F of the example, 1. Largest precision and largest recall may be those of different references."""

    name = "rouge-l"
    definition = "ROUGE-L of the E2E script, 0 to 100: F with beta 1.2 of the longest common subsequence, Penn tokens"
    standard = True

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, 2)``."""
        rows = [
            (_f(penn(output), list(map(penn, given))), 1.0) for output, given in zip(outputs, references, strict=True)
        ]
        return np.array(rows, np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """The mean over the examples."""
        return 100 * sums[..., 0] / sums[..., 1]


def _f(output: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    lengths = [common_length(output, reference) for reference in references]
    precision = max(lengths) / max(len(output), 1)
    recall = max(length / max(len(reference), 1) for length, reference in zip(lengths, references, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Tokens of the longest common subsequence, by bits: one addition of long integers a token (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    everything = (1 << len(first)) - 1
    free = everything
    for token in second:
        matched = free & places.get(token, 0)
        free = (free + matched | free - matched) & everything
    return len(first) - free.bit_count()


MEMBER = RougeL()
