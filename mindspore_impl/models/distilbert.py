"""Mirrors pytorch_impl.models.distilbert; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn

from common.models.families.distilbert import EPS
from mindspore_impl.blocks.activation import lacking
from mindspore_impl.blocks.encoder import Embeddings, Encoder, first_states, hidden_states, states
from mindspore_impl.blocks.transformer import EncoderLayer, LayerNames, SelfAttention

__all__ = ["backbone", "first_states", "hidden_states", "states"]

_NAMES = LayerNames(
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    probabilities="attention.probabilities",
    attention_output="attention.out_lin",
    attention_dropout=None,
    attention_norm="sa_layer_norm",
    intermediate="ffn.lin1",
    output="ffn.lin2",
    output_dropout="ffn.dropout",
    output_norm="output_layer_norm",
)


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    return lacking(config, "activation")


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    embeddings = Embeddings("distilbert.embeddings", config, config["dim"], 0, EPS, config["dropout"])
    layers = [_layer(f"distilbert.transformer.layer.{index}", config) for index in range(config["n_layers"])]
    return Encoder(embeddings, layers, config["n_heads"])


def _layer(path: str, config: Mapping[str, Any]) -> nn.Cell:
    hidden = config["dim"]
    attention = SelfAttention(path, hidden, config["n_heads"], config["attention_dropout"], _NAMES)
    rest = (config["hidden_dim"], EPS, config["activation"], config["dropout"], _NAMES)
    return EncoderLayer(path, attention, hidden, *rest)
