"""ELECTRA's encoder: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import ElectraConfig, ElectraModel

from pytorch_impl.hf_bridge.encoders import first_position, layer_states, pretrained_config
from pytorch_impl.hf_bridge.past import named

__all__ = ["backbone", "first_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The encoder with untouched start values, to be filled by the caller."""
    return ElectraModel(pretrained_config(ElectraConfig, config))


def _inputs(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return named(batch, ("input_ids", "attention_mask", "token_type_ids"))


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The last layer's output, ``(batch, seq, hidden)``."""
    return model(**_inputs(batch)).last_hidden_state


def first_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The first position's output, ``(batch, hidden)``: the last layer computes its queries and all that follows for
    that position alone."""
    hidden = model.embeddings(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"])
    if hasattr(model, "embeddings_project"):
        hidden = model.embeddings_project(hidden)
    return first_position(model, hidden, batch["attention_mask"])


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    return layer_states(model, _inputs(batch))
