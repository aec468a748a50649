"""CIDEr-D (Vedantam et al. 2015) as coco-caption, and with it the script of the E2E challenge, computes it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from common.metrics.text.metric import TextMetric
from common.metrics.text.ngrams import ngrams
from common.metrics.text.tokens import penn

__all__ = ["MEMBER", "Cider"]

_ORDER = 4
_SIGMA = 6.0  #: of the penalty on different lengths, in pairs of tokens

Vector = tuple[list[dict[tuple[str, ...], float]], list[float], int]


class Cider(TextMetric):
    """Statistics: score of the example, 1.

    In how many examples an n-gram occurs is counted over all examples given, so that its weight is the same in every
    resample of them. One example alone scores 0.
    """

    name = "cider"
    definition = "CIDEr-D of the E2E script: tf-idf of 1- to 4-grams of Penn tokens, clipped, times 10"
    standard = True

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, 2)``."""
        counts = [[_counts(penn(reference)) for reference in given] for given in references]
        documents: Counter[tuple[str, ...]] = Counter()
        for given in counts:
            documents.update({gram for reference in given for size in reference for gram in size})
        every = math.log(len(references))
        rows = []
        for output, given in zip(outputs, counts, strict=True):
            vector = _vector(_counts(penn(output)), documents, every)
            similar = [_similarity(vector, _vector(reference, documents, every)) for reference in given]
            rows.append((10 * sum(similar) / len(similar), 1.0))
        return np.array(rows, np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """The mean over the examples."""
        return sums[..., 0] / sums[..., 1]


def _counts(tokens: Sequence[str]) -> list[Counter[tuple[str, ...]]]:
    return [ngrams(tokens, size) for size in range(1, _ORDER + 1)]


def _vector(counts: Sequence[Counter], documents: Counter, every: float) -> Vector:
    """Weights of each order, their norms, and the number of pairs of tokens, which stands for the length."""
    weights = [
        {gram: count * (every - math.log(max(1, documents[gram]))) for gram, count in size.items()} for size in counts
    ]
    norms = [math.sqrt(sum(weight**2 for weight in size.values())) for size in weights]
    return weights, norms, counts[1].total()


def _similarity(output: Vector, reference: Vector) -> float:
    """Mean over the orders of the clipped cosine, times the penalty on the difference of the lengths."""
    total = 0.0
    for mine, theirs, norm, other in zip(output[0], reference[0], output[1], reference[1], strict=True):
        product = sum(min(weight, theirs[gram]) * theirs[gram] for gram, weight in mine.items() if gram in theirs)
        total += product / (norm * other) if norm and other else product
    return total / _ORDER * math.exp(-((output[2] - reference[2]) ** 2) / (2 * _SIGMA**2))


MEMBER = Cider()
