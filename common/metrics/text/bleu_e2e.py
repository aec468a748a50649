"""BLEU as the script of the E2E challenge computes it (Dušek et al. 2018; Papineni et al. 2002)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.metrics.text.metric import TextMetric
from common.metrics.text.ngrams import most, ngrams, remark_short
from common.metrics.text.tokens import mteval

__all__ = ["MEMBER", "BleuE2e"]

_ORDER = 4
_TINY, _SMALL = 1e-15, 1e-9  #: for no hit and no n-gram, so that the logarithm exists


class BleuE2e(TextMetric):
    """Statistics: hits of each order, n-grams of each order, tokens of the reference nearest in length.

    As there, a text of ``n`` tokens has ``n - 3`` n-grams of order 4 even where that is negative; a precision is 1 at
    most, which it is not there."""

    name = "bleu-e2e"
    definition = "BLEU-4 of the E2E script, 0 to 100: mteval-v13a tokens, lower case, no smoothing"
    standard = True

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, 9)``."""
        rows = [
            _row(mteval(output), list(map(mteval, given))) for output, given in zip(outputs, references, strict=True)
        ]
        remark_short(self.name, [row[_ORDER] for row in rows], _ORDER)
        return np.array(rows, np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Brevity penalty times the geometric mean of the precisions."""
        hits, grams, length = sums[..., :_ORDER], sums[..., _ORDER : 2 * _ORDER], sums[..., -1]
        shares = np.maximum(hits, _TINY) / np.maximum(grams, _SMALL)
        precision = np.log(np.minimum(shares, 1.0)).mean(-1)
        tokens = np.where(grams[..., 0] > 0, grams[..., 0], 1e-5)
        return 100 * np.exp(precision + np.minimum(0.0, 1 - length / tokens))


def _row(output: Sequence[str], references: Sequence[Sequence[str]]) -> list[int]:
    hits = [
        (ngrams(output, size) & most(ngrams(reference, size) for reference in references)).total()
        for size in range(1, _ORDER + 1)
    ]
    nearest = min(map(len, references), key=lambda length: (abs(length - len(output)), length))
    return [*hits, *(len(output) - lost for lost in range(_ORDER)), nearest]


MEMBER = BleuE2e()
