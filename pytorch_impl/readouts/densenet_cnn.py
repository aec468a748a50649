"""Densely connected convolutions over the states of an encoder, windows, and the hidden layer.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pytorch_impl.layers.condensed import Condensed
from pytorch_impl.layers.dense_columns import DenseColumns
from pytorch_impl.layers.windows import Windows

__all__ = ["DenseNetCNN", "readout"]


class DenseNetCNN(nn.Module):
    """States ``(batch, seq, width)`` and the mask ``(batch, seq)`` to ``(batch, condensed_size)``."""

    def __init__(self, width: int, arguments: Mapping[str, Any]):
        super().__init__()
        trunk, filters, sizes = arguments["trunk_size"], arguments["window_filters"], arguments["window_sizes"]
        first, others = arguments["first_filters"], arguments["filters"]
        self.trunk = DenseColumns(width, first, others, trunk, arguments["kernel_sizes"])
        self.trunk_norm = nn.LayerNorm(trunk)
        self.windows = Windows(trunk, filters, sizes)
        self.condensed = Condensed(filters * len(sizes), arguments["condensed_size"], arguments["dropout"])

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The hidden vector."""
        x = self.trunk_norm(self.trunk(states, mask))
        return self.condensed(self.windows(x, mask))


def readout(width: int, arguments: Mapping[str, Any]) -> nn.Module:
    """The module for states of a width."""
    return DenseNetCNN(width, arguments)
