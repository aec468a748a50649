"""Mirrors pytorch_impl.models.electra; differs: native cells that load the same Hugging Face weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn

from mindspore_impl.blocks.encoder import (
    Encoder,
    ProjectedEmbeddings,
    bert_layers,
    first_states,
    hidden_states,
    states,
)
from mindspore_impl.models.bert import unsupported  # noqa: F401  part of a backbone's module

__all__ = ["backbone", "first_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The encoder, its parameters zero, to be filled by the caller."""
    narrow = config["embedding_size"] != config["hidden_size"]
    embeddings = ProjectedEmbeddings("electra.embeddings", config, "electra.embeddings_project" if narrow else None)
    return Encoder(embeddings, bert_layers("electra.encoder.layer", config), config["num_attention_heads"])
