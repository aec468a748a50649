"""A linear layer on the state of one token, without the pooler that some families have before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.models.family import Family, HeadLayout
from common.readouts.readout import Readout, ReadoutOptions, bare

__all__ = ["MEMBER"]


class Cls(Readout):
    """Dropout and a linear layer, at the first token; at the last real one of a causal network."""

    name = "cls"

    def on_states(
        self, options: ReadoutOptions, own: HeadLayout, family: Family, config: Mapping[str, Any]
    ) -> HeadLayout:
        """No module besides the output."""
        dropout = self.dropout(own, family, config)
        return HeadLayout(bare(own.architecture), own.position, "classifier", named=False, dropout=dropout)


MEMBER = Cls()
