"""Translation edit rate (Snover et al. 2006) in the definition of sacrebleu, that of tercom."""

from __future__ import annotations

from typing import Any

from common.metrics.text.sacre import SacreMetric

__all__ = ["MEMBER", "Ter"]


class Ter(SacreMetric):
    """See `SacreMetric`."""

    name = "ter"
    definition = "TER of sacrebleu in percent, lower is better: edits and shifts to the nearest reference over the mean length of the references, lower case"
    higher_is_better = False

    def make(self) -> Any:
        """With sacrebleu's defaults but for what the definition says."""
        from sacrebleu.metrics import TER

        return TER()


MEMBER = Ter()
