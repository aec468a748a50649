"""BiLSTM-CNN (Ma and Hovy 2016).

A word is its vector beside what a convolution over its characters gives, the maximum over all places of the word. An
LSTM reads the words in both directions.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.recurrent import LSTM, VariationalDropout

__all__ = ["backbone", "hidden_states", "states"]

_LEAST = -1e30  # below every number that a convolution gives


class Characters(nn.Module):
    """``(batch, seq, characters)`` numbers of characters to ``(batch, seq, filters)``; zeros where there is none."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        width, kernel = config["character_size"], config["character_kernel"]
        self.width, self.filters = width, config["character_filters"]
        self.table = nn.Embedding(config["character_rows"], width)
        self.convolution = nn.Conv1d(width, self.filters, kernel, padding=kernel // 2)
        self.dropout = Dropout("bilstm_cnn.characters.dropout", config["dropout"])

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        batch, length, count = characters.shape
        words = characters.reshape(batch * length, count)
        vectors = self.table(words)
        real = (words > 0).to(vectors.dtype).unsqueeze(2)
        vectors = self.dropout(vectors) * real
        found = self.convolution(vectors.transpose(1, 2)).transpose(1, 2)
        most = (found * real + (1.0 - real) * _LEAST).amax(1) * real[:, 0]
        return most.reshape(batch, length, self.filters)


class BilstmCnn(nn.Module):
    """Words and their characters, and an LSTM in both directions."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        drop = VariationalDropout if config["variational_dropout"] else Dropout
        width = config["word_size"] + config["character_filters"]
        self.words = nn.Embedding(config["vocab_size"], config["word_size"])
        self.spelled = config["character_filters"] > 0
        if self.spelled:
            self.characters = Characters(config)
        self.dropout = drop("bilstm_cnn.dropout", config["dropout"])
        self.lstm = LSTM(
            "bilstm_cnn.lstm",
            width,
            config["lstm_size"],
            config["num_layers"],
            True,
            config["dropout"],
            config["recurrent_dropout"],
        )

    def embed(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What the LSTM gets, ``(batch, seq, width)``."""
        vectors = self.words(batch["input_ids"])
        if self.spelled:
            vectors = torch.cat([vectors, self.characters(batch["characters"])], 2)
        return self.dropout(vectors)

    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Vectors to states ``(batch, seq, 2 * lstm_size)``, zeros at padding."""
        outputs, _ = self.lstm(x, attention_mask.sum(-1))
        return outputs


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The network without its head."""
    return BilstmCnn(config)


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """States of every position."""
    return model(model.embed(batch), batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """What the LSTM gets, and what it gives."""
    vectors = model.embed(batch)
    return [vectors, model(vectors, batch["attention_mask"])]
