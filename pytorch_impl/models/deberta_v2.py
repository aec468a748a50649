"""DeBERTa-v2's and DeBERTaV3's encoder: `transformers`' own network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import DebertaV2Config, DebertaV2Model

from pytorch_impl.hf_bridge.disentangled import decoded, first_position, separate_contents, separate_layer
from pytorch_impl.hf_bridge.encoders import layer_states, pretrained_config
from pytorch_impl.hf_bridge.relative import aligned

__all__ = ["backbone", "decoded_states", "first_states", "hidden_states", "states"]

_NAMES = ("input_ids", "attention_mask", "token_type_ids")


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The encoder with untouched start values, to be filled by the caller."""
    return aligned(DebertaV2Model(pretrained_config(DebertaV2Config, config)), separate_contents, cut=False)


def _inputs(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: batch[name] for name in _NAMES}


def states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The last layer's output, ``(batch, seq, hidden)``."""
    return model(**_inputs(batch)).last_hidden_state


def first_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The first position's output, ``(batch, hidden)``: the last layer computes its queries and all that follows for
    that position alone."""
    return first_position(model, _inputs(batch), separate_contents, cut=False)


def decoded_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What the masked-token head reads where absolute positions enter before it, ``(batch, seq, hidden)``."""
    return decoded(model, _inputs(batch), separate_layer)


def hidden_states(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The embeddings and every layer's output, each ``(batch, seq, hidden)``."""
    return layer_states(model, _inputs(batch))
