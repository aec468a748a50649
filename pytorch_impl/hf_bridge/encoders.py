"""What the encoders of `transformers` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

__all__ = ["first_attended", "first_position", "layer_states", "padding_mask", "pretrained_config"]


def pretrained_config(kind: type, config: Mapping[str, Any]) -> Any:
    """The configuration object; ``num_labels`` follows from ``id2label`` there."""
    return kind(**{key: value for key, value in config.items() if key != "num_labels"})


def padding_mask(model: nn.Module, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor | None:
    """The mask that the layers of an encoder take, of ``(batch, seq)``; None where nothing is masked."""
    return create_bidirectional_mask(config=model.config, inputs_embeds=hidden, attention_mask=attention_mask)


def first_position(model: nn.Module, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The first position's output ``(batch, hidden)`` of an encoder of BERT's layers, from its embeddings ``(batch,
    seq, hidden)``."""
    mask = padding_mask(model, hidden, attention_mask)
    *layers, last = model.encoder.layer
    for layer in layers:
        hidden = layer(hidden, attention_mask=mask)
    attention = last.attention.self
    projections = (attention.query, attention.key, attention.value)
    first = hidden[:, :1]
    mixed = first_attended(attention, projections, attention.dropout, hidden, mask, first)
    return last.feed_forward_chunk(last.attention.output(mixed, first))[:, 0]


def first_attended(
    attention: nn.Module,
    projections: Sequence[nn.Module],
    dropout: nn.Module,
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    first: torch.Tensor | None = None,
) -> torch.Tensor:
    """What ``attention`` mixes for the first position, ``(batch, 1, hidden)``; its keys and values are those of every
    position of ``hidden``.

    Args:
        attention: a module with ``attention_head_size``, ``scaling`` and ``config``.
        projections: its query, key and value.
        dropout: of its probabilities.
        hidden: ``(batch, seq, hidden)``.
        mask: of `padding_mask`.
        first: ``hidden[:, :1]``, where the caller reads it too: the gradients of two slices are summed in another order.
    """
    inputs = zip(projections, (hidden[:, :1] if first is None else first, hidden, hidden), strict=True)
    heads = (-1, attention.attention_head_size)  # a layer may have fewer heads than the configuration says
    query, key, value = (projection(x).view(*x.shape[:2], *heads).transpose(1, 2) for projection, x in inputs)
    attend = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation]
    options = {
        "dropout": dropout.p if attention.training else 0.0,
        "scaling": attention.scaling,
        "is_causal": False,
    }
    mixed, _ = attend(attention, query, key, value, None if mask is None else mask[:, :, :1], **options)
    return mixed.flatten(2)


def layer_states(model: nn.Module, inputs: Mapping[str, torch.Tensor], **options: Any) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    return list(model(**inputs, output_hidden_states=True, **options).hidden_states)
