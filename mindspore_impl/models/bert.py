"""Mirrors pytorch_impl.models.bert; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn

from mindspore_impl.blocks.activation import lacking
from mindspore_impl.blocks.encoder import Embeddings, Encoder, bert_layers, first_states, hidden_states, states

__all__ = ["backbone", "first_states", "hidden_states", "states"]


def unsupported(config: Mapping[str, Any]) -> str | None:
    """Which of ``config`` the cells do not have; None where they have all."""
    return lacking(config, "hidden_act")


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    sizes = (config["hidden_size"], config["type_vocab_size"], config["layer_norm_eps"], config["hidden_dropout_prob"])
    embeddings = Embeddings("bert.embeddings", config, *sizes)
    return Encoder(embeddings, bert_layers("bert.encoder.layer", config), config["num_attention_heads"])
