"""Mirrors pytorch_impl.readouts.densenet_cnn; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms

from mindspore_impl import nn
from mindspore_impl.layers.condensed import Condensed
from mindspore_impl.layers.dense_columns import DenseColumns
from mindspore_impl.layers.windows import Windows

__all__ = ["DenseNetCNN", "readout"]


class DenseNetCNN(ms.nn.Cell):
    """States ``(batch, seq, width)`` and the mask ``(batch, seq)`` to ``(batch, condensed_size)``."""

    def __init__(self, width: int, arguments: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        trunk, filters, sizes = arguments["trunk_size"], arguments["window_filters"], arguments["window_sizes"]
        first, others = arguments["first_filters"], arguments["filters"]
        self.trunk = DenseColumns(width, first, others, trunk, arguments["kernel_sizes"])
        self.trunk_norm = nn.LayerNorm(trunk)
        self.windows = Windows(trunk, filters, sizes)
        self.condensed = Condensed(filters * len(sizes), arguments["condensed_size"], arguments["dropout"])

    def construct(self, states: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """The hidden vector."""
        x = self.trunk_norm(self.trunk(states, mask))
        return self.condensed(self.windows(x, mask))


def readout(width: int, arguments: Mapping[str, Any]) -> ms.nn.Cell:
    """The module for states of a width."""
    return DenseNetCNN(width, arguments)
