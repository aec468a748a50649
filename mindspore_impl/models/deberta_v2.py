"""Mirrors pytorch_impl.models.deberta_v2; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn, ops

from mindspore_impl.blocks.activation import ACTIVATIONS, activate, lacking
from mindspore_impl.blocks.disentangled import DisentangledAttention, reordered
from mindspore_impl.blocks.disentangled_encoder import (
    DisentangledEncoder,
    decoded_states,
    first_states,
    hidden_states,
    states,
)
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import Convolution, LayerNorm, Linear

__all__ = ["backbone", "decoded_states", "first_states", "hidden_states", "states"]


class SeparateAttention(DisentangledAttention):
    """Projections of their own for query, key and value, which may be those of the relative positions as well."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(path, config, False)
        hidden, shared = config["hidden_size"], config["share_att_key"]
        self.query_proj = Linear(f"{path}.query_proj", hidden, hidden)
        self.key_proj = Linear(f"{path}.key_proj", hidden, hidden)
        self.value_proj = Linear(f"{path}.value_proj", hidden, hidden)
        self.shared = shared
        self.pos_key_proj = Linear(f"{path}.pos_key_proj", hidden, hidden) if self.c2p and not shared else None
        self.pos_query_proj = Linear(f"{path}.pos_query_proj", hidden, hidden) if self.p2c and not shared else None

    def contents(self, x, read):
        """Query, key and value, heads first."""
        query = self.query_proj(x if read is None else read)
        return self.split(query), self.split(self.key_proj(x)), self.split(self.value_proj(x))

    def split(self, x):
        """``(tokens, hidden)`` to ``(heads * tokens, width)``."""
        return reordered(ops.reshape(x, (-1, self.width)), (x.shape[0], self.heads), (1, 0))

    def position_keys(self, table):
        """Of the whole table."""
        return self.key_proj(table) if self.shared else self.pos_key_proj(table)

    def position_queries(self, table):
        """Of the whole table."""
        return self.query_proj(table) if self.shared else self.pos_query_proj(table)


class ConvolutionLayer(nn.Cell):
    """norm(y + act(dropout(convolution(x)))) for the embeddings x and the first layer's output y, which padding leaves
    out."""

    def __init__(self, path: str, config: Mapping[str, Any]):
        super().__init__(auto_prefix=False)
        hidden = config["hidden_size"]
        self.plain, self.activation = (), ACTIVATIONS[config["conv_act"]]
        self.conv = Convolution(f"{path}.conv", hidden, hidden, config["conv_kernel_size"], config["conv_groups"])
        self.norm = LayerNorm(f"{path}.LayerNorm", hidden, config["layer_norm_eps"])
        self.dropout = Dropout(f"{path}.dropout", config["hidden_dropout_prob"])

    def construct(self, x, y, kept):
        """``x``, ``y`` and ``kept``, which is 0 at padding and 1 elsewhere, ``(batch, seq, hidden)``, to ``(batch * seq,
        hidden)``."""
        moved = ops.transpose(self.conv(ops.transpose(x, (0, 2, 1))), (0, 2, 1)) * kept
        added = activate(self.activation, self.dropout(moved), "fused" in self.plain)
        rows, hidden = ops.reshape(y + added, (-1, x.shape[-1])), ops.reshape(kept, (-1, x.shape[-1]))
        return self.norm(rows) * hidden


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    entries = ("hidden_act", "pooler_hidden_act", *(["conv_act"] if config["conv_kernel_size"] else []))
    return next((reason for reason in (lacking(config, entry) for entry in entries) if reason), None)


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    convolution = ConvolutionLayer("deberta.encoder.conv", config) if config["conv_kernel_size"] else None
    return DisentangledEncoder(config, SeparateAttention, "deberta", convolution)
