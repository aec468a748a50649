"""Metrics that sacrebleu (Post 2018) defines."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.metrics.text.metric import TextMetric

__all__ = ["SacreMetric"]


class SacreMetric(TextMetric):
    """A metric of sacrebleu. Its statistics are those from which sacrebleu itself resamples."""

    def missing(self) -> str | None:
        """sacrebleu is an extra."""
        return None if importlib.util.find_spec("sacrebleu") else "it needs sacrebleu: pip install 'twinlora[nlg]'"

    def make(self) -> Any:
        """The metric's object."""
        raise NotImplementedError

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """``(examples, statistics)``; what is missing of references that vary in number is None, as sacrebleu asks."""
        streams = list(itertools.zip_longest(*references))
        return np.array(self.make()._extract_corpus_statistics(list(outputs), streams), np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """sacrebleu's score of each row of sums."""
        metric = self.make()
        rows = np.atleast_2d(sums)
        found = [metric._compute_score_from_stats(_plain(row)).score for row in rows.reshape(-1, rows.shape[-1])]
        return np.array(found, np.float64).reshape(sums.shape[:-1])


def _plain(row: np.ndarray) -> list[float]:
    """Integers where they are: counts are divided and compared with 0."""
    return [int(value) if value == int(value) else float(value) for value in row]
