"""Columns of densely connected convolutions side by side.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Column", "DenseColumns"]


class Column(nn.Module):
    """Levels of convolutions, each of which reads all levels before it; ``(batch, inputs, seq)`` to the last level's
    ``(batch, outputs, seq)``."""

    def __init__(self, inputs: int, first: int, filters: int, sizes: Sequence[int], slope: float):
        super().__init__()
        self.slope = slope
        widths = [inputs] + [first + filters * level for level in range(len(sizes) - 1)]
        outputs = [first] + [filters] * (len(sizes) - 1)
        self.levels = nn.ModuleList(
            [nn.Conv1d(widths[level], outputs[level], size, padding=size // 2) for level, size in enumerate(sizes)]
        )

    def forward(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """``kept`` ``(batch, 1, seq)``: 1 at words and 0 behind them."""
        known, last = x, x
        for index, level in enumerate(self.levels):
            last = F.leaky_relu(level(known) * kept, self.slope)
            known = last if index == 0 else torch.cat([known, last], 1)
        return last


class DenseColumns(nn.Module):
    """``(batch, seq, inputs)`` and the mask ``(batch, seq)`` to ``(batch, seq, outputs)``.

    Args:
        inputs: width of the words.
        first: filters of the first level of every column.
        filters: of the others.
        outputs: of the convolution of width 1 that mixes the words with the last levels.
        sizes: for each level the widths of its convolutions, one for each column.
        slope: of the rectifiers below 0.
    """

    def __init__(
        self, inputs: int, first: int, filters: int, outputs: int, sizes: Sequence[Sequence[int]], slope: float = 0.0
    ):
        super().__init__()
        self.slope = slope
        columns = [[level[column] for level in sizes] for column in range(len(sizes[0]))]
        self.columns = nn.ModuleList([Column(inputs, first, filters, column, slope) for column in columns])
        last = filters if len(sizes) > 1 else first
        self.mix = nn.Conv1d(inputs + last * len(columns), outputs, 1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Zero behind every text."""
        kept = mask.unsqueeze(1).to(x.dtype)  # (batch, 1, seq)
        x = x.transpose(1, 2) * kept
        mixed = self.mix(torch.cat([x] + [column(x, kept) for column in self.columns], 1))
        return (F.leaky_relu(mixed, self.slope) * kept).transpose(1, 2)
