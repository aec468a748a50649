"""The output of IsoMax (Macedo et al. 2021): distances to one prototype a class.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Output"]


class Output(nn.Module):
    """-||x - w_c|| for every row w_c of the weight; ``(batch, width)`` to ``(batch, outputs)``."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The distances, negative."""
        difference = x.unsqueeze(-2) - self.weight
        return -torch.sqrt((difference * difference).sum(-1).clamp(min=1e-12))
