"""The hidden layer of a classifier.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Condensed"]


class Condensed(nn.Module):
    """norm(W dropout(norm(x)) + b), ``(batch, inputs)`` to ``(batch, outputs)``."""

    def __init__(self, inputs: int, outputs: int, p: float):
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        self.dropout = nn.Dropout(p)
        self.linear = nn.Linear(inputs, outputs)
        self.output_norm = nn.LayerNorm(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The hidden vector."""
        return self.output_norm(self.linear(self.dropout(self.norm(x))))
