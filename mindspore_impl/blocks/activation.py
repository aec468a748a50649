"""Activations by Hugging Face's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import Tensor

from mindspore_impl import functional as F
from mindspore_impl import fused

__all__ = ["ACTIVATIONS", "activate", "lacking"]

#: Hugging Face's name to the one in graphs, which compare constants
ACTIVATIONS = {
    "tanh": "tanh",
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


def activate(name: str, x: Tensor, plain: bool) -> Tensor:
    """The activation of this name, a value of `ACTIVATIONS`; ``plain`` computes GELU without its fast path."""
    if name == "tanh":
        return F.tanh(x)
    if name == "relu":
        return F.relu(x)
    approximate = "tanh" if name == "gelu_tanh" else "none"
    return F.gelu(x, approximate) if plain else fused.gelu(x, approximate)


def lacking(config: Mapping[str, Any], entry: str) -> str | None:
    """Why ``config`` asks for an activation that is not here; None where it is."""
    if config[entry] in ACTIVATIONS:
        return None
    return f"the activations here are {', '.join(ACTIVATIONS)}; config.json says {config[entry]!r}"
