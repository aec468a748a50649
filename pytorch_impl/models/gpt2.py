"""GPT-2's decoder: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, GPT2Model

from pytorch_impl.hf_bridge.cached import Reader, reader
from pytorch_impl.hf_bridge.encoders import layer_states, pretrained_config
from pytorch_impl.hf_bridge.past import named

__all__ = ["backbone", "cached_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The decoder with untouched start values, to be filled by the caller."""
    return GPT2Model(pretrained_config(GPT2Config, config))


def _inputs(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return named(batch, ("input_ids", "attention_mask"))


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The output of the final norm, ``(batch, seq, hidden)``."""
    return model(**_inputs(batch), use_cache=False).last_hidden_state


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``; the last one after the final norm."""
    return layer_states(model, _inputs(batch), use_cache=False)


def cached_states(model: nn.Module, kept: dict[Any, Any] | None) -> Reader | None:
    """What reads new tokens beside the keys and values of those before (`pytorch_impl.decoding`); None where the
    configuration has no such way."""
    return reader(model, kept)
