"""Mirrors pytorch_impl.models.mistral; differs: Llama's cells, which ask the family what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn

from mindspore_impl.models.llama import (
    Llama,
    cached_states,
    hidden_states,
    states,
    unsupported,  # noqa: F401  part of a backbone's module
)

__all__ = ["backbone", "cached_states", "hidden_states", "states"]


def backbone(config: Mapping[str, Any]) -> nn.Cell:
    """The decoder, its parameters zero, to be filled by the caller."""
    return Llama(config)
