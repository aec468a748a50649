"""Windows over the states of an encoder, and the hidden layer.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.condensed import Condensed
from pytorch_impl.layers.windows import Windows

__all__ = ["CNN", "readout"]


class CNN(nn.Module):
    """States ``(batch, seq, width)`` and the mask ``(batch, seq)`` to ``(batch, condensed_size)``."""

    def __init__(self, width: int, arguments: Mapping[str, Any]):
        super().__init__()
        filters, sizes = arguments["filters"], arguments["kernel_sizes"]
        self.windows = Windows(width, filters, sizes)
        self.condensed = Condensed(filters * len(sizes), arguments["condensed_size"], arguments["dropout"])

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The hidden vector."""
        return self.condensed(self.windows(states, mask))


def readout(width: int, arguments: Mapping[str, Any]) -> nn.Module:
    """The module for states of a width."""
    return CNN(width, arguments)
