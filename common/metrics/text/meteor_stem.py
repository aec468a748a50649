"""METEOR (Lavie and Agarwal 2007) without the stages that need data: exact words and Porter's stems."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.metrics.text.metric import TextMetric
from common.metrics.text.tokens import penn

__all__ = ["MEMBER", "MeteorStem"]


class _NoSynonyms:
    """Stands for WordNet, whose data are not here."""

    def synsets(self, word: str) -> list[Any]:
        """None."""
        return []


class MeteorStem(TextMetric):
    """Statistics: score of the example against its best reference, 1."""

    name = "meteor-stem"
    definition = (
        "METEOR of NLTK, 0 to 100, mean over the examples: stages exact and stem, neither synonyms nor paraphrases, "
        "alpha 0.9, beta 3, gamma 0.5, Penn tokens; not comparable with METEOR 1.5"
    )

    def missing(self) -> str | None:
        """NLTK is an extra."""
        return None if importlib.util.find_spec("nltk") else "it needs NLTK: pip install 'twinlora[nlg]'"

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, 2)``."""
        from nltk.translate.meteor_score import meteor_score

        rows = [
            (meteor_score(list(map(penn, given)), penn(output), wordnet=_NoSynonyms()), 1.0)
            for output, given in zip(outputs, references, strict=True)
        ]
        return np.array(rows, np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """The mean over the examples."""
        return 100 * sums[..., 0] / sums[..., 1]


MEMBER = MeteorStem()
