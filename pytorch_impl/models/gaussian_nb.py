"""Word vectors and the largest value of each of their features.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

__all__ = ["GaussianNB", "backbone", "hidden_states", "states"]

_NEGATIVE = -1e30  # below every feature of a word


class GaussianNB(nn.Module):
    """The features of a text that naive Bayes reads."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        rows, width, padding = config["vocab_size"], config["embedding_size"], config["pad_token_id"]
        self.embeddings = nn.Embedding(rows, width, padding_idx=padding)
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """``(batch, embedding_size)``."""
        x = self.dropout(self.embeddings(input_ids))
        absent = (1.0 - attention_mask.to(x.dtype)).unsqueeze(2) * _NEGATIVE  # (batch, seq, 1)
        return torch.amax(x + absent, dim=1)


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network with untouched start values, to be filled by the caller."""
    return GaussianNB(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The same alone."""
    return [states(model, batch)]
