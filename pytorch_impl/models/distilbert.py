"""DistilBERT's encoder: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import DistilBertConfig, DistilBertModel

from pytorch_impl.hf_bridge.encoders import first_attended, layer_states, padding_mask, pretrained_config
from pytorch_impl.hf_bridge.past import named

__all__ = ["backbone", "first_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The encoder with untouched start values, to be filled by the caller."""
    return DistilBertModel(pretrained_config(DistilBertConfig, config))


def _inputs(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return named(batch, ("input_ids", "attention_mask"))


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The last layer's output, ``(batch, seq, hidden)``."""
    return model(**_inputs(batch)).last_hidden_state


def first_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The first position's output, ``(batch, hidden)``: the last layer computes its queries and all that follows for
    that position alone."""
    hidden = model.embeddings(batch["input_ids"])
    mask = padding_mask(model, hidden, batch["attention_mask"])
    *layers, last = model.transformer.layer
    for layer in layers:
        hidden = layer(hidden, mask)
    attention = last.attention
    projections = (attention.q_lin, attention.k_lin, attention.v_lin)
    mixed = first_attended(attention, projections, attention.dropout, hidden, mask)
    x = last.sa_layer_norm(attention.out_lin(mixed) + hidden[:, :1])
    return last.output_layer_norm(last.ffn(x) + x)[:, 0]


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    return layer_states(model, _inputs(batch))
