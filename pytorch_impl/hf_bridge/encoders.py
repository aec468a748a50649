"""What the encoders of `transformers` that are built like BERT share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

__all__ = ["first_position", "layer_states", "pretrained_config"]


def pretrained_config(kind: type, config: Mapping[str, Any]) -> Any:
    """The configuration object; ``num_labels`` follows from ``id2label`` there."""
    return kind(**{key: value for key, value in config.items() if key != "num_labels"})


def first_position(model: nn.Module, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The first position's output ``(batch, hidden)`` of an encoder of BERT's layers, from its embeddings ``(batch,
    seq, hidden)``."""
    mask = create_bidirectional_mask(config=model.config, inputs_embeds=hidden, attention_mask=attention_mask)
    *layers, last = model.encoder.layer
    for layer in layers:
        hidden = layer(hidden, attention_mask=mask)
    return _first(last, hidden, None if mask is None else mask[:, :, :1])[:, 0]


def _first(layer: nn.Module, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The first position of ``layer``'s output, ``(batch, 1, hidden)``; its keys and values are those of every position
    of ``hidden``."""
    attention, first = layer.attention.self, hidden[:, :1]
    split = (*hidden.shape[:1], -1, attention.num_attention_heads, attention.attention_head_size)
    inputs = ((attention.query, first), (attention.key, hidden), (attention.value, hidden))
    query, key, value = (projection(x).view(split).transpose(1, 2) for projection, x in inputs)
    attend = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation]
    dropout = attention.dropout.p if layer.training else 0.0
    options = {"dropout": dropout, "scaling": attention.scaling, "is_causal": False}
    mixed, _ = attend(attention, query, key, value, mask, **options)
    return layer.feed_forward_chunk(layer.attention.output(mixed.flatten(2), first))


def layer_states(model: nn.Module, inputs: Mapping[str, torch.Tensor], **options: Any) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    return list(model(**inputs, output_hidden_states=True, **options).hidden_states)
