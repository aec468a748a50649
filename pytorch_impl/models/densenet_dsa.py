"""Densely connected convolutions under dynamic self-attention.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.condensed import Condensed
from pytorch_impl.layers.dense_columns import DenseColumns
from pytorch_impl.layers.dynamic_attention import DynamicAttention

__all__ = ["DenseNetDSA", "backbone", "hidden_states", "states"]

_SLOPE = 0.01


class DenseNetDSA(nn.Module):
    """Words, the trunk with leaky rectifiers, attentions side by side, and the hidden layer."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, trunk, first = config["embedding_size"], config["trunk_size"], config["first_filters"]
        heads, size, steps = config["attention_heads"], config["attention_size"], config["attention_steps"]
        self.embeddings = nn.Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.dropout = nn.Dropout(config["dropout"])
        self.trunk = DenseColumns(width, first, config["filters"], trunk, config["kernel_sizes"], _SLOPE)
        self.attention = DynamicAttention(trunk, heads, size, steps, _SLOPE)
        self.condensed = Condensed(heads * size, config["condensed_size"], config["dropout"])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """``(batch, condensed_size)``."""
        x = self.trunk(self.dropout(self.embeddings(input_ids)), attention_mask)
        return self.condensed(self.attention(x, attention_mask))


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network with untouched start values, to be filled by the caller."""
    return DenseNetDSA(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The same alone."""
    return [states(model, batch)]
