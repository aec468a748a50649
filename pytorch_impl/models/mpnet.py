"""MPNet's encoder: `transformers`' own network, which numbers positions by the ids that are no padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import MPNetConfig, MPNetModel

from pytorch_impl.hf_bridge.encoders import layer_states, padding_mask, pretrained_config
from pytorch_impl.hf_bridge.past import named

__all__ = ["backbone", "first_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The encoder without pooler, with untouched start values, to be filled by the caller."""
    return MPNetModel(pretrained_config(MPNetConfig, config), add_pooling_layer=False)


def _inputs(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return named(batch, ("input_ids", "attention_mask"))


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The last layer's output, ``(batch, seq, hidden)``."""
    return model(**_inputs(batch)).last_hidden_state


def first_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The first position's output, ``(batch, hidden)``: the last layer computes its queries and all that follows for
    that position alone."""
    hidden = model.embeddings(input_ids=batch["input_ids"])
    mask = padding_mask(model, hidden, batch["attention_mask"])
    bias = model.encoder.compute_position_bias(hidden)
    *layers, last = model.encoder.layer
    for layer in layers:
        hidden = layer(hidden, mask, bias)[0]
    added = bias[:, :, :1] if mask is None else bias[:, :, :1] + mask[:, :, :1]
    mixed, first = _first(last.attention.attn, hidden, added), hidden[:, :1]
    x = last.attention.LayerNorm(last.attention.dropout(mixed) + first)
    return last.output(last.intermediate(x), x)[:, 0]


def _first(attention: nn.Module, hidden: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """The first position of what ``attention`` gives, ``(batch, 1, hidden)``."""
    split = (hidden.shape[0], -1, attention.num_attention_heads, attention.attention_head_size)
    inputs = ((attention.q, hidden[:, :1]), (attention.k, hidden), (attention.v, hidden))
    query, key, value = (projection(x).view(split).transpose(1, 2) for projection, x in inputs)
    scores = query @ key.transpose(2, 3) / attention.attention_head_size**0.5 + added
    return attention.o((attention.dropout(scores.softmax(-1)) @ value).transpose(1, 2).flatten(2))


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    return layer_states(model, _inputs(batch))
