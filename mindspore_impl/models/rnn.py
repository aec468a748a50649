"""Mirrors pytorch_impl.models.rnn; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms

from mindspore_impl import functional as F
from mindspore_impl import nn
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.recurrent import cell

__all__ = ["backbone", "hidden_states", "states"]


class Rnn(ms.nn.Cell):
    """Vectors of tokens, or frames as they are, and recurrent layers."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width = config["frame_width"] or config["embedding_size"]
        self.frames = config["frame_width"] > 0
        if not self.frames:
            self.embeddings = nn.Embedding(config["vocab_size"], width)
        self.dropout = Dropout("rnn.dropout", config["embedding_dropout"])
        self.layers = cell(config["cell"])(
            "rnn.layers",
            width,
            config["hidden_size"],
            config["num_layers"],
            config["bidirectional"],
            config["dropout"],
            config["recurrent_dropout"],
        )

    def embed(self, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
        """What the first layer gets, ``(batch, seq, width)``."""
        if self.frames:
            return self.dropout(batch["frames"].to(self.layers.weight_ih_l0.dtype))
        return self.dropout(self.embeddings(batch["input_ids"]))

    def construct(self, x: ms.Tensor, attention_mask: ms.Tensor) -> ms.Tensor:
        """Vectors to states ``(batch, seq, hidden)``, zeros at padding."""
        outputs, _ = self.layers(x, F.sum(attention_mask, -1))
        return outputs


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """The network without its head."""
    return Rnn(config)


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """States of every position."""
    return model(model.embed(batch), batch["attention_mask"])


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """What the first layer gets, and what the last one gives."""
    vectors = model.embed(batch)
    return [vectors, model(vectors, batch["attention_mask"])]
