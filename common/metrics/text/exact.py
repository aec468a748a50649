"""How many texts are one of their references, word for word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.metrics.text.metric import TextMetric

__all__ = ["MEMBER", "Exact"]


class Exact(TextMetric):
    """Share of the texts whose words, in their order, are those of a reference."""

    name = "exact"
    definition = "texts that are one of their references, word for word, in percent"

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """1 or 0, and 1 for every text, ``(examples, 2)``."""
        found = [
            any(text.split() == reference.split() for reference in given)
            for text, given in zip(outputs, references, strict=True)
        ]
        return np.stack([np.array(found, np.float64), np.ones(len(found))], 1)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """In percent."""
        return 100.0 * sums[..., 0] / sums[..., 1]


MEMBER = Exact()
