"""Mistral's decoder: `transformers`' own network, run as Llama's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import MistralConfig, MistralModel

from pytorch_impl.models.llama import cached_states, decoder, hidden_states, states

__all__ = ["backbone", "cached_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The decoder with untouched start values, to be filled by the caller."""
    return decoder(MistralModel, MistralConfig, config)
