"""Mirrors pytorch_impl.models.mpnet; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from common.models.families.mpnet import buckets
from mindspore_impl.blocks.encoder import Encoder, first_states, hidden_states, states
from mindspore_impl.blocks.transformer import EncoderLayer, LayerNames, SelfAttention
from mindspore_impl.layers.attention import attention, join_heads, split_heads
from mindspore_impl.layers.modules import Embedding
from mindspore_impl.models.bert import unsupported  # noqa: F401  part of a backbone's module
from mindspore_impl.models.roberta import Embeddings

__all__ = ["backbone", "first_states", "hidden_states", "states"]

_NAMES = LayerNames(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    probabilities="attention.attn.dropout",
    attention_output="attention.attn.o",
    attention_dropout="attention.dropout",
    attention_norm="attention.LayerNorm",
)


@ops.constexpr
def _places(length: int, heads: int, rows: int) -> Tensor:
    """Where in a table ``(heads, rows)`` the biases of all pairs of positions are, ``(heads * length * length,)``."""
    places = np.arange(heads)[:, None] * rows + buckets(length).reshape(1, -1)
    return Tensor(places.reshape(-1).astype(np.int32))


class BiasedAttention(SelfAttention):
    """Attention whose scores get what all layers share, a bias ``(batch, heads, seq, seq)``, which may be trained."""

    def construct(self, x, read, mask, past=None, shared=None, turn=0):
        batch, heads, queries = mask.shape[:3]
        query, key, value = (
            split_heads(self.query(x if read is None else read), batch, heads),
            split_heads(self.key(x), batch, heads),
            split_heads(self.value(x), batch, heads),
        )
        added = mask + (shared if shared.shape[2] == queries else shared[:, :, :queries])
        return join_heads(attention(query, key, value, added, self.scale, self.probabilities[turn], False))


class MPNet(Encoder):
    """With the table of biases."""

    def __init__(self, embeddings: nn.Cell, layers: list[nn.Cell], heads: int, rows: int):
        super().__init__(embeddings, layers, heads)
        self.rows = Tensor(np.arange(rows, dtype=np.int32))
        self.bias = Embedding("mpnet.encoder.relative_attention_bias", rows, heads)

    def shared(self, input_ids):
        """The bias of every layer, ``(batch, heads, seq, seq)``."""
        batch, length = input_ids.shape
        table = ops.transpose(self.bias(self.rows), (1, 0))  # (heads, rows), which is small
        found = ops.gather(ops.reshape(table, (-1,)), _places(length, self.heads, self.rows.shape[0]), 0)
        return ops.tile(ops.reshape(found, (1, self.heads, length, length)), (batch, 1, 1, 1))


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    embeddings = Embeddings("mpnet.embeddings", config, 0)
    layers = [_layer(f"mpnet.encoder.layer.{index}", config) for index in range(config["num_hidden_layers"])]
    return MPNet(embeddings, layers, config["num_attention_heads"], config["relative_attention_num_buckets"])


def _layer(path: str, config: Mapping[str, Any]) -> nn.Cell:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    mixing = BiasedAttention(path, hidden, heads, config["attention_probs_dropout_prob"], _NAMES)
    sizes = (config["intermediate_size"], config["layer_norm_eps"])
    return EncoderLayer(path, mixing, hidden, *sizes, config["hidden_act"], config["hidden_dropout_prob"], _NAMES)
