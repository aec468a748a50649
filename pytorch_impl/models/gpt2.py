"""GPT-2 for language modelling and for sequence classification: `transformers`' own networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from pytorch_impl import functional as F
from pytorch_impl.loss import token_loss_sum

__all__ = ["build", "hidden_states", "logits", "loss_sum"]


def build(config: Mapping[str, Any], task: str) -> nn.Module:
    """The network with untouched starting values, to be filled by the caller."""
    network = GPT2LMHeadModel if task == "language-modeling" else GPT2ForSequenceClassification
    return network(GPT2Config(**{key: value for key, value in config.items() if key != "num_labels"}))


def logits(model: nn.Module, batch: Mapping[str, torch.Tensor], positions: torch.Tensor | None = None) -> torch.Tensor:
    """Language model: ``(batch, seq, vocabulary)``, or ``(batch, vocabulary)`` at ``positions`` ``(batch,)``.

    Classification: ``(batch, labels)`` at each row's last real token.
    """
    hidden = model.transformer(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
    ).last_hidden_state
    if hasattr(model, "score"):
        positions = batch["attention_mask"].sum(-1) - 1
    if positions is not None:
        hidden = hidden[torch.arange(hidden.shape[0], device=hidden.device), positions]  # (batch, hidden)
    return model.score(hidden) if hasattr(model, "score") else model.lm_head(hidden)


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``; the last one after the final norm."""
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    return list(model.transformer(**inputs, use_cache=False, output_hidden_states=True).hidden_states)


def loss_sum(
    model: nn.Module, batch: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the scored labels, and the class logits ``(batch, labels)``; of a language model, which forms no logits, the sum alone.

    Args:
        differentiable: False where no gradient will be asked for.
    """
    if hasattr(model, "score"):
        found = logits(model, batch)
        return F.cross_entropy_sum(found, batch["labels"]), found
    if "loss" in getattr(model, "plain", ()):
        return (F.cross_entropy_sum(logits(model, batch).flatten(0, 1), batch["labels"].flatten()),)
    hidden = model.transformer(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
    ).last_hidden_state
    return (token_loss_sum(hidden.flatten(0, 1), model.lm_head.weight, batch["labels"].flatten(), differentiable),)
