"""Mirrors pytorch_impl.models.densenet_dsa; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms

from mindspore_impl import nn
from mindspore_impl.layers.condensed import Condensed
from mindspore_impl.layers.dense_columns import DenseColumns
from mindspore_impl.layers.dynamic_attention import DynamicAttention

__all__ = ["DenseNetDSA", "backbone", "hidden_states", "states"]

_SLOPE = 0.01


class DenseNetDSA(ms.nn.Cell):
    """Words, the trunk with leaky rectifiers, attentions side by side, and the hidden layer."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        width, trunk, first = config["embedding_size"], config["trunk_size"], config["first_filters"]
        heads, size, steps = config["attention_heads"], config["attention_size"], config["attention_steps"]
        self.embeddings = nn.Embedding(config["vocab_size"], width, padding_idx=config["pad_token_id"])
        self.dropout = nn.Dropout(config["dropout"])
        self.trunk = DenseColumns(width, first, config["filters"], trunk, config["kernel_sizes"], _SLOPE)
        self.attention = DynamicAttention(trunk, heads, size, steps, _SLOPE)
        self.condensed = Condensed(heads * size, config["condensed_size"], config["dropout"])

    def construct(self, input_ids: ms.Tensor, attention_mask: ms.Tensor) -> ms.Tensor:
        """``(batch, condensed_size)``."""
        x = self.trunk(self.dropout(self.embeddings(input_ids)), attention_mask)
        return self.condensed(self.attention(x, attention_mask))


def backbone(config: Mapping[str, Any]) -> ms.nn.Cell:
    """The network with untouched start values, to be filled by the caller."""
    return DenseNetDSA(config)


def states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> ms.Tensor:
    """One vector for each text, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"])


def hidden_states(model: ms.nn.Cell, batch: Mapping[str, ms.Tensor]) -> list[ms.Tensor]:
    """The same alone."""
    return [states(model, batch)]
