"""XLM-RoBERTa's encoder: `transformers`' own network, run as RoBERTa's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import XLMRobertaConfig, XLMRobertaModel

from pytorch_impl.hf_bridge.encoders import pretrained_config
from pytorch_impl.models.roberta import first_states, hidden_states, states

__all__ = ["backbone", "first_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Module:
    """The encoder without pooler, with untouched start values, to be filled by the caller."""
    return XLMRobertaModel(pretrained_config(XLMRobertaConfig, config), add_pooling_layer=False)
