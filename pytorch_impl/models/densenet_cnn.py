"""Densely connected convolutions under a convolutional classifier.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.condensed import Condensed
from pytorch_impl.layers.dense_columns import DenseColumns
from pytorch_impl.layers.windows import Windows

__all__ = ["DenseNetCNN", "backbone", "hidden_states", "states"]


class DenseNetCNN(nn.Module):
    """Words, the trunk, a norm, windows, and the hidden layer."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, trunk = config["embedding_size"], config["trunk_size"]
        filters, sizes = config["window_filters"], config["window_sizes"]
        self.embeddings = nn.Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.dropout = nn.Dropout(config["dropout"])
        self.trunk = DenseColumns(width, config["first_filters"], config["filters"], trunk, config["kernel_sizes"])
        self.trunk_norm = nn.LayerNorm(trunk)
        self.windows = Windows(trunk, filters, sizes)
        self.condensed = Condensed(filters * len(sizes), config["condensed_size"], config["dropout"])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """``(batch, condensed_size)``."""
        x = self.trunk(self.dropout(self.embeddings(input_ids)), attention_mask)
        return self.condensed(self.windows(self.trunk_norm(x), attention_mask))


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network with untouched start values, to be filled by the caller."""
    return DenseNetCNN(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The same alone."""
    return [states(model, batch)]
