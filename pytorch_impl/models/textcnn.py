"""TextCNN (Kim 2014): windows over words, and the largest answer of each filter.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from common.models.words import BOTH
from pytorch_impl.layers.windows import Windows

__all__ = ["TextCNN", "backbone", "hidden_states", "states"]


class TextCNN(nn.Module):
    """With two channels each filter reads both and its answers are added: that is the filter's answer to their sum."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        rows, width, padding = config["vocab_size"], config["embedding_size"], config["pad_token_id"]
        self.embeddings = nn.Embedding(rows, width, padding_idx=padding)
        self.channels = 2 if config["embedding"] == BOTH else 1
        if self.channels == 2:
            self.static_embeddings = nn.Embedding(rows, width, padding_idx=padding)
        self.windows = Windows(width, config["filters"], config["kernel_sizes"], wide=True)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """``(batch, filters * widths)``."""
        x = self.embeddings(input_ids)
        if self.channels == 2:
            x = x + self.static_embeddings(input_ids)
        return self.windows(x, attention_mask)


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network with untouched start values, to be filled by the caller."""
    return TextCNN(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The same alone."""
    return [states(model, batch)]
