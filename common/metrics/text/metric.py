"""The contract of a metric of generated texts.

A metric is a function of sums over examples. `statistics` gives the summands, `score` the value of the sums, so that a
bootstrap resamples examples by weighting rows and never reads a text again (`common.metrics.intervals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

__all__ = ["TextMetric"]


class TextMetric:
    """One metric. Members give ``name`` (the file's), ``definition``, `statistics` and `score`."""

    name: ClassVar[str]
    definition: ClassVar[str]  #: in a sentence, with its source
    higher_is_better: ClassVar[bool] = True
    standard: ClassVar[bool] = False  #: computed where no metric is named; such need no further package

    def missing(self) -> str | None:
        """Why it cannot be computed here, with what to install; None where it can."""
        return None

    def statistics(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """Summands of every example.

        Args:
            outputs: one text an example.
            references: at least one text an example; their number may vary.

        Returns:
            Float64 ``(examples, statistics)``.
        """
        raise NotImplementedError

    def score(self, sums: np.ndarray) -> np.ndarray:
        """The metric of sums of statistics.

        Args:
            sums: ``(..., statistics)``.

        Returns:
            Float64 ``(...)``.
        """
        raise NotImplementedError
