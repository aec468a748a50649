"""chrF++ (Popović 2017) in the definition of sacrebleu."""

from __future__ import annotations

from typing import Any

from common.metrics.text.sacre import SacreMetric

__all__ = ["MEMBER", "Chrf"]


class Chrf(SacreMetric):
    """See `SacreMetric`."""

    name = "chrf"
    definition = "chrF++ of sacrebleu, 0 to 100: 1- to 6-grams of characters, 1- and 2-grams of words, beta 2"

    def make(self) -> Any:
        """With sacrebleu's defaults but for what the definition says."""
        from sacrebleu.metrics import CHRF

        return CHRF(word_order=2)


MEMBER = Chrf()
