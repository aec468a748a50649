"""Mirrors pytorch_impl.models.bert; differs: native cells that load the same Hugging Face weights.
 Hidden states stay two-dimensional, ``(batch * seq, hidden)``, between the layers: one plain matrix product per
projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl import fused
from mindspore_impl.layers.attention import attention, behind, join_heads, split_heads
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Embedding, LayerNorm, Linear, of_layer, padding_mask, past_of

__all__ = ["backbone", "first_states", "hidden_states", "states"]

_ACTIVATIONS = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}


class BertLayer(nn.Cell):
    """Self-attention and feed-forward with post-norm residuals."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        hidden, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        self.scale, self.plain = (hidden // config["num_attention_heads"]) ** -0.5, ()
        self.activation, self.approximate = _ACTIVATIONS[config["hidden_act"]]
        self.query = Linear(f"{path}.attention.self.query", hidden, hidden)
        self.key = Linear(f"{path}.attention.self.key", hidden, hidden)
        self.value = Linear(f"{path}.attention.self.value", hidden, hidden)
        self.attention_output = Linear(f"{path}.attention.output.dense", hidden, hidden)
        self.attention_norm = LayerNorm(f"{path}.attention.output.LayerNorm", hidden, eps)
        self.intermediate = Linear(f"{path}.intermediate.dense", hidden, inner)
        self.output = Linear(f"{path}.output.dense", inner, hidden)
        self.output_norm = LayerNorm(f"{path}.output.LayerNorm", hidden, eps)
        self.probabilities = Dropout(f"{path}.attention.self.probabilities", config["attention_probs_dropout_prob"])
        self.attention_dropout = Dropout(f"{path}.attention.output.dropout", config["hidden_dropout_prob"])
        self.dropout = Dropout(f"{path}.output.dropout", config["hidden_dropout_prob"])

    def construct(self, x, mask, first=None, past=None):
        """``x`` ``(batch * seq, hidden)`` to the same, or to ``(batch, hidden)`` where the first positions are given as
        ``first``: the others are left out. ``past``: keys and values before the sequence, ``(2, heads, tokens, width)``."""
        batch, heads = mask.shape[:2]
        query, key, value = self.query(x if first is None else first), self.key(x), self.value(x)
        query, key, value = (
            split_heads(query, batch, heads),
            split_heads(key, batch, heads),
            split_heads(value, batch, heads),
        )
        if past is not None:
            key, value = behind(past[0], key), behind(past[1], value)
        mixed = join_heads(
            attention(query, key, value, mask, self.scale, self.probabilities, "attention" not in self.plain)
        )
        x = self.attention_norm((x if first is None else first) + self.attention_dropout(self.attention_output(mixed)))
        inner = self.intermediate(x)
        if self.activation == "relu":
            inner = F.relu(inner)
        elif "fused" in self.plain:
            inner = F.gelu(inner, self.approximate)
        else:
            inner = fused.gelu(inner, self.approximate)
        return self.output_norm(x + self.dropout(self.output(inner)))


class Bert(nn.Cell):
    """Embeddings and encoder layers."""

    def __init__(self, config: Mapping[str, Any], prefix: str = "bert"):
        super().__init__(auto_prefix=False)
        hidden, table = config["hidden_size"], f"{prefix}.embeddings"
        self.heads = config["num_attention_heads"]
        self.word = Embedding(f"{table}.word_embeddings", config["vocab_size"], hidden, config["pad_token_id"])
        self.position = Embedding(f"{table}.position_embeddings", config["max_position_embeddings"], hidden)
        self.token_type = Embedding(f"{table}.token_type_embeddings", config["type_vocab_size"], hidden)
        self.norm = LayerNorm(f"{table}.LayerNorm", hidden, config["layer_norm_eps"])
        self.dropout = Dropout(f"{table}.dropout", config["hidden_dropout_prob"])
        layers = [BertLayer(f"{prefix}.encoder.layer.{i}", config) for i in range(config["num_hidden_layers"])]
        self.layers = nn.CellList(layers, auto_prefix=False)

    def located(self, input_ids, start):
        """Rows of the position table, ``(batch * seq, hidden)``; ``start`` positions are before the sequence."""
        batch, length = input_ids.shape
        return ops.tile(self.position(F.arange(length).astype(ms.int32) + start), (batch, 1))

    def embed(self, input_ids, token_type_ids, start):
        """``(batch * seq, hidden)``."""
        words, types = F.reshape(input_ids, (-1,)), F.reshape(token_type_ids, (-1,))
        return self.dropout(self.norm(self.word(words) + self.token_type(types) + self.located(input_ids, start)))

    def construct(self, input_ids, attention_mask, token_type_ids, first, past=None):
        """The last layer's output, of every position or of the ``first`` ones alone. ``past``: keys and values of every
        layer in turn before the sequence, ``(layers * 2, heads, tokens, width)``, which the mask covers."""
        x = self.embed(input_ids, token_type_ids, attention_mask.shape[1] - input_ids.shape[1])
        of_one = padding_mask(attention_mask, self.heads)  # (batch, heads, 1, seq)
        mask = ops.tile(of_one, (1, 1, input_ids.shape[1], 1))
        last = len(self.layers) - 1
        for index in range(last):  # a slice would be a new list of cells, which renames their parameters
            x = self.layers[index](x, mask, None, of_layer(past, index))
        if first:
            return self.layers[last](x, of_one, F.reshape(x, (*input_ids.shape, -1))[:, 0], of_layer(past, last))
        return self.layers[last](x, mask, None, of_layer(past, last))


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    if config["hidden_act"] not in _ACTIVATIONS:
        return f"the activations here are {', '.join(_ACTIVATIONS)}; config.json says {config['hidden_act']!r}"
    return None


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    return Bert(config)


def states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The last layer's output, ``(batch * seq, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], False, past_of(batch))


def first_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> Tensor:
    """The first position's output, ``(batch, hidden)``."""
    return model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], True)


def hidden_states(model: nn.Cell, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The embeddings and every layer's output, each ``(batch * seq, hidden)``."""
    past, start = past_of(batch), batch["attention_mask"].shape[1] - batch["input_ids"].shape[1]
    found = [model.embed(batch["input_ids"], batch["token_type_ids"], start)]
    mask = ops.tile(padding_mask(batch["attention_mask"], model.heads), (1, 1, batch["input_ids"].shape[1], 1))
    for index in range(len(model.layers)):
        found.append(model.layers[index](found[-1], mask, None, of_layer(past, index)))
    return found
