"""Prefix tuning (Li and Liang 2021): trained keys and values before those of the sequence, in every layer.

They are the rows of a matrix ``(tokens, layers * 2 * width)``, key and value of every layer in turn, or
W_2 tanh(W_1 X + b_1) + b_2 with embeddings X ``(tokens, width)``. Positions of the sequence begin after them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pytorch_impl import functional as F
from pytorch_impl.hf_bridge.past import PAST, past
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["Prefix", "build"]


class Prefix(Wrapper):
    """A frozen table, which it leaves as it is; the network asks it for keys and values."""

    in_sequence = False  #: the hidden states have no positions for them

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids ``(...)`` to ``(..., width)``."""
        return self.base_layer(ids)

    def states(self) -> torch.Tensor:
        """Keys and values ``(layers * 2, heads, tokens, width of a head)``."""
        arguments = self.edit.arguments
        if arguments.hidden:
            inner = torch.tanh(F.linear(self.prefix_embedding, self.prefix_down_weight, self.prefix_down_bias))
            rows = F.linear(inner, self.prefix_up_weight, self.prefix_up_bias)
        else:
            rows = self.prefix
        return rows.view(arguments.tokens, 2 * arguments.layers, arguments.pairs, -1).permute(1, 2, 0, 3)

    def extend(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inputs of a backbone with keys and values, which the attention mask ``(batch, tokens + seq)`` covers."""
        mask = inputs["attention_mask"]
        before = mask.new_ones(mask.shape[0], self.edit.arguments.tokens)
        extended = {"attention_mask": torch.cat([before, mask], 1), PAST: past(self.states(), mask.shape[0])}
        return {**inputs, **extended}


build = Prefix
