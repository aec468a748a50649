"""Mirrors pytorch_impl.models.bilstm_cnn; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
from mindspore import mint

from mindspore_impl import functional as F
from mindspore_impl import nn
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.recurrent import LSTM, VariationalDropout
from mindspore_impl.shims import tensor as tensors

__all__ = ["backbone", "hidden_states", "states"]

_LEAST = -1e30  # below every number that a convolution gives


class Characters(ms.nn.Cell):
    """``(batch, seq, characters)`` numbers of characters to ``(batch, seq, filters)``; zeros where there is none."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width, kernel = config["character_size"], config["character_kernel"]
        self.width, self.filters = width, config["character_filters"]
        self.table = nn.Embedding(config["character_rows"], width)
        self.convolution = nn.Conv1d(width, self.filters, kernel, padding=kernel // 2)
        self.dropout = Dropout("bilstm_cnn.characters.dropout", config["dropout"])

    def construct(self, characters: ms.Tensor) -> ms.Tensor:
        batch, length, count = characters.shape
        words = tensors.reshape(characters, batch * length, count)
        vectors = self.table(words)
        real = (words > 0).to(vectors.dtype).unsqueeze(2)
        vectors = self.dropout(vectors) * real
        found = mint.transpose(self.convolution(mint.transpose(vectors, 1, 2)), 1, 2)
        most = F.amax(found * real + (1.0 - real) * _LEAST, 1) * real[:, 0]
        return tensors.reshape(most, batch, length, self.filters)


class BilstmCnn(ms.nn.Cell):
    """Words and their characters, and an LSTM in both directions."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
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

    def embed(self, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
        """What the LSTM gets, ``(batch, seq, width)``."""
        vectors = self.words(batch["input_ids"])
        if self.spelled:
            vectors = F.cat([vectors, self.characters(batch["characters"])], 2)
        return self.dropout(vectors)

    def construct(self, x: ms.Tensor, attention_mask: ms.Tensor) -> ms.Tensor:
        """Vectors to states ``(batch, seq, 2 * lstm_size)``, zeros at padding."""
        outputs, _ = self.lstm(x, F.sum(attention_mask, -1))
        return outputs


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """The network without its head."""
    return BilstmCnn(config)


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """States of every position."""
    return model(model.embed(batch), batch["attention_mask"])


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """What the LSTM gets, and what it gives."""
    vectors = model.embed(batch)
    return [vectors, model(vectors, batch["attention_mask"])]
