"""A convolutional classifier with a hidden layer.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.condensed import Condensed
from pytorch_impl.layers.windows import Windows

__all__ = ["CNNClassifier", "backbone", "hidden_states", "states"]


class CNNClassifier(nn.Module):
    """Words, windows over them, and the hidden layer."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, filters, sizes = config["embedding_size"], config["filters"], config["kernel_sizes"]
        self.embeddings = nn.Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.windows = Windows(width, filters, sizes)
        self.condensed = Condensed(filters * len(sizes), config["condensed_size"], config["dropout"])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """``(batch, condensed_size)``."""
        return self.condensed(self.windows(self.embeddings(input_ids), attention_mask))


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network with untouched start values, to be filled by the caller."""
    return CNNClassifier(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The same alone."""
    return [states(model, batch)]
