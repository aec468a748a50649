"""METEOR 1.5 (Denkowski and Lavie 2014) with all four stages, as the script of the E2E challenge runs it.

The words are matched by METEOR's own program, which brings WordNet's synonyms and its table of paraphrases; the score
of the counts is computed here, so that examples can be resampled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.metrics.text import java
from common.metrics.text.metric import TextMetric
from common.metrics.text.tokens import penn

__all__ = ["MEMBER", "Meteor"]

_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  #: for English, as the program chooses them
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  #: of exact, stem, synonym and paraphrase matches


class Meteor(TextMetric):
    """Statistics: tokens of output and reference, function words of both; for each stage the matched content words of
    both and function words of both; chunks, matched words of both."""

    name = "meteor"
    definition = (
        "METEOR 1.5 of the E2E script, 0 to 100: stages exact, stem, synonym and paraphrase, Penn tokens, -norm"
    )

    def missing(self) -> str | None:
        """The program and Java."""
        return java.missing()

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, 23)``."""
        tokens = [" ".join(penn(output)) for output in outputs]
        given = [[" ".join(penn(reference)) for reference in each] for each in references]
        return np.array(java.match_counts(tokens, given), np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """F of precision and recall, less the penalty on fragments."""
        words, function = sums[..., 0:2], sums[..., 2:4]  # of output and reference
        stages = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 4)
        content, others = _WEIGHTS @ stages[..., 0:2], _WEIGHTS @ stages[..., 2:4]
        matched = _DELTA * content + (1 - _DELTA) * others
        shares = _ratio(matched, _DELTA * (words - function) + (1 - _DELTA) * function)
        precision, recall = shares[..., 0], shares[..., 1]
        mean = _ratio(precision * recall, (1 - _ALPHA) * recall + _ALPHA * precision)
        chunks, hits = sums[..., 20], sums[..., 21:23]
        fragments = _ratio(chunks, hits.mean(-1))
        whole = (chunks == 1) & (hits == words).all(-1)
        return 100 * mean * (1 - _GAMMA * np.where(whole, 0.0, fragments) ** _BETA)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


MEMBER = Meteor()
