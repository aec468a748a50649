"""Mirrors pytorch_impl.models.albert; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mindspore import nn

from common.models.families.albert import uses
from mindspore_impl.blocks.encoder import Encoder, ProjectedEmbeddings, first_states, hidden_states, states
from mindspore_impl.blocks.transformer import EncoderLayer, LayerNames, SelfAttention
from mindspore_impl.models.bert import unsupported  # noqa: F401  part of a backbone's module

__all__ = ["backbone", "first_states", "hidden_states", "states"]

_NAMES = LayerNames(
    query="attention.query",
    key="attention.key",
    value="attention.value",
    probabilities="attention.probabilities",
    attention_output="attention.dense",
    attention_dropout="attention.output_dropout",
    attention_norm="attention.LayerNorm",
    intermediate="ffn",
    output="ffn_output",
    output_dropout=None,
    output_norm="full_layer_layer_norm",
)


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    embeddings = ProjectedEmbeddings("albert.embeddings", config, "albert.encoder.embedding_hidden_mapping_in")
    order = uses(config)
    turns = Counter(order)
    paths = list(turns)
    layers = [_layer(path, config, turns[path]) for path in paths]
    return Encoder(embeddings, layers, config["num_attention_heads"], [paths.index(path) for path in order])


def _layer(path: str, config: Mapping[str, Any], turns: int) -> nn.Cell:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    attention = SelfAttention(path, hidden, heads, config["attention_probs_dropout_prob"], _NAMES, turns)
    inner, eps = config["intermediate_size"], config["layer_norm_eps"]
    rest = (inner, eps, config["hidden_act"], config["hidden_dropout_prob"], _NAMES, turns)
    return EncoderLayer(path, attention, hidden, *rest)
