"""BERT for sequence classification: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from pytorch_impl import functional as F

__all__ = ["build", "hidden_states", "logits", "loss_sum"]


def build(config: Mapping[str, Any], task: str) -> nn.Module:
    """The network with untouched starting values, to be filled by the caller."""
    return BertForSequenceClassification(BertConfig(**{key: value for key, value in config.items() if key != "num_labels"}))


def logits(model: nn.Module, batch: Mapping[str, torch.Tensor], positions: torch.Tensor | None = None) -> torch.Tensor:
    """Class logits ``(batch, labels)``."""
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], token_type_ids=batch["token_type_ids"]).logits


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    return list(model.bert(**inputs, output_hidden_states=True).hidden_states)


def loss_sum(model: nn.Module, batch: Mapping[str, torch.Tensor], differentiable: bool = True) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the scored labels, and the class logits ``(batch, labels)``."""
    found = logits(model, batch)
    return F.cross_entropy_sum(found, batch["labels"]), found
