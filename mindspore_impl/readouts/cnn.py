"""Mirrors pytorch_impl.readouts.cnn; made of it by scripts/convert_models.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms

from mindspore_impl.layers.condensed import Condensed
from mindspore_impl.layers.windows import Windows

__all__ = ["CNN", "readout"]


class CNN(ms.nn.Cell):
    """States ``(batch, seq, width)`` and the mask ``(batch, seq)`` to ``(batch, condensed_size)``."""

    def __init__(self, width: int, arguments: Mapping[str, Any]):
        super().__init__()
        self.set_train()  # as torch's modules start
        filters, sizes = arguments["filters"], arguments["kernel_sizes"]
        self.windows = Windows(width, filters, sizes)
        self.condensed = Condensed(filters * len(sizes), arguments["condensed_size"], arguments["dropout"])

    def construct(self, states: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """The hidden vector."""
        return self.condensed(self.windows(states, mask))


def readout(width: int, arguments: Mapping[str, Any]) -> ms.nn.Cell:
    """The module for states of a width."""
    return CNN(width, arguments)
