"""NIST (Doddington 2002) as the script of the E2E challenge computes it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from common.metrics.text.metric import TextMetric
from common.metrics.text.ngrams import Grams, most, ngrams, remark_short
from common.metrics.text.tokens import mteval

__all__ = ["MEMBER", "Nist"]

_ORDER = 5
_BETA = -math.log(0.5) / math.log(1.5) ** 2  #: a text two thirds as long as its references counts half

Tokens = list[str]


class Nist(TextMetric):
    """Statistics: information of the hits of each order, n-grams of each order, mean length of the references.

    The information of an n-gram is counted in the references of all examples given, so that it is the same in every
    resample of them.
    """

    name = "nist"
    definition = "NIST of the E2E script, order 5: mteval-v13a tokens, lower case"
    standard = True

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, 11)``."""
        tokens = [list(map(mteval, given)) for given in references]
        information = _information(tokens)
        rows = [_row(mteval(output), given, information) for output, given in zip(outputs, tokens, strict=True)]
        remark_short(self.name, [int(row[_ORDER]) for row in rows], _ORDER)
        return np.array(rows, np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Information a hit, summed over the orders, times the length penalty."""
        found, grams, length = sums[..., :_ORDER], sums[..., _ORDER : 2 * _ORDER], sums[..., -1]
        per_gram = np.divide(found, grams, out=np.zeros_like(found), where=grams > 0).sum(-1)
        ratio = np.clip(grams[..., 0] / length, 1e-9, 1.0)
        return per_gram * np.exp(-_BETA * np.log(ratio) ** 2)


def _information(references: Sequence[Sequence[Tokens]]) -> dict[tuple[str, ...], float]:
    """log2(occurrences without the last token / occurrences) of every n-gram of the references."""
    counts: list[Grams] = [Grams() for _ in range(_ORDER + 1)]
    for given in references:
        for tokens in given:
            counts[0][()] += len(tokens)
            for size in range(1, _ORDER + 1):
                counts[size].update(ngrams(tokens, size))
    return {
        gram: math.log2(counts[size - 1][gram[:-1]] / count)
        for size in range(1, _ORDER + 1)
        for gram, count in counts[size].items()
    }


def _row(output: Tokens, references: Sequence[Tokens], information: dict[tuple[str, ...], float]) -> list[float]:
    found = []
    for size in range(1, _ORDER + 1):
        hits = ngrams(output, size) & most(ngrams(reference, size) for reference in references)
        found.append(sum(information[gram] * count for gram, count in hits.items()))
    grams = (len(output) - lost for lost in range(_ORDER))
    return [*found, *grams, sum(map(len, references)) / len(references)]


MEMBER = Nist()
