"""Keys and values before a sequence, in the form in which `transformers` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import DynamicCache

__all__ = ["PAST", "named", "past"]

PAST = "past_key_values"  #: what its networks call them


def past(states: torch.Tensor, batch: int) -> Any:
    """A new cache, since a forward pass writes into it.

    Args:
        states: ``(layers * 2, heads, tokens, width of a head)``, key and value of every layer in turn.
    """
    device = states.device.type
    if torch.is_autocast_enabled(device):  # as the keys and values of the sequence
        states = states.to(torch.get_autocast_dtype(device))
    cache = DynamicCache()
    wide = states.unsqueeze(1).expand(-1, batch, -1, -1, -1)
    for layer in range(len(states) // 2):
        cache.update(wide[2 * layer], wide[2 * layer + 1], layer)
    return cache


def named(batch: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The inputs ``names`` of a network, and the keys and values before its sequence where there are any."""
    return {name: batch[name] for name in (*names, PAST) if name != PAST or PAST in batch}
