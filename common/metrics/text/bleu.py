"""BLEU (Papineni et al. 2002) in the definition of sacrebleu (Post 2018)."""

from __future__ import annotations

from typing import Any

from common.metrics.text.sacre import SacreMetric

__all__ = ["MEMBER", "Bleu"]


class Bleu(SacreMetric):
    """See `SacreMetric`."""

    name = "bleu"
    definition = "BLEU-4 of sacrebleu, 0 to 100: 13a tokens, mixed case, exponential smoothing"

    def make(self) -> Any:
        """With sacrebleu's defaults but for what the definition says."""
        from sacrebleu.metrics import BLEU

        return BLEU(force=True)


MEMBER = Bleu()
