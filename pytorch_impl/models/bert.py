"""BERT for sequence classification: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from pytorch_impl import functional as F

__all__ = ["build", "hidden_states", "logits", "loss_sum"]


def build(config: Mapping[str, Any], task: str) -> nn.Module:
    """The network with untouched starting values, to be filled by the caller."""
    return BertForSequenceClassification(
        BertConfig(**{key: value for key, value in config.items() if key != "num_labels"})
    )


def logits(model: nn.Module, batch: Mapping[str, torch.Tensor], positions: torch.Tensor | None = None) -> torch.Tensor:
    """Class logits ``(batch, labels)``. Only the first position is classified, so the last layer computes its queries and all that follows for it alone."""
    if "last_layer" in getattr(model, "plain", ()):
        return model(**{key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}).logits
    hidden = model.bert.embeddings(
        input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"]
    )  # (batch, seq, hidden)
    mask = create_bidirectional_mask(config=model.config, inputs_embeds=hidden, attention_mask=batch["attention_mask"])
    *layers, last = model.bert.encoder.layer
    for layer in layers:
        hidden = layer(hidden, attention_mask=mask)
    first = _first(last, hidden, None if mask is None else mask[:, :, :1])
    return model.classifier(model.dropout(model.bert.pooler(first)))


def _first(layer: nn.Module, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The first position of ``layer``'s output, ``(batch, 1, hidden)``; its keys and values are those of every position of ``hidden``."""
    attention, first = layer.attention.self, hidden[:, :1]
    split = (*hidden.shape[:1], -1, attention.num_attention_heads, attention.attention_head_size)
    query, key, value = (
        projection(x).view(split).transpose(1, 2)
        for projection, x in ((attention.query, first), (attention.key, hidden), (attention.value, hidden))
    )
    attend = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation]
    dropout = attention.dropout.p if layer.training else 0.0
    mixed, _ = attend(attention, query, key, value, mask, dropout=dropout, scaling=attention.scaling, is_causal=False)
    return layer.feed_forward_chunk(layer.attention.output(mixed.flatten(2), first))


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    return list(model.bert(**inputs, output_hidden_states=True).hidden_states)


def loss_sum(
    model: nn.Module, batch: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the scored labels, and the class logits ``(batch, labels)``."""
    found = logits(model, batch)
    return F.cross_entropy_sum(found, batch["labels"]), found
