"""Convolutions of several widths over a text, and the largest answer of each filter.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Windows"]


class Windows(nn.Module):
    """``(batch, seq, inputs)`` and the mask ``(batch, seq)`` to ``(batch, filters * widths)``: for every width k the
    maximum over time of relu(conv_k(x)).

    A text is followed by as many zeros as its windows need. ``wide``: it also begins with them, so that every window
    with at least one word in it counts (Kim 2014); otherwise those that begin at a word do. What only pads a batch
    changes nothing.

    Args:
        inputs: width of the states.
        filters: of each width.
        sizes: the widths.
    """

    def __init__(self, inputs: int, filters: int, sizes: Sequence[int], wide: bool = False):
        super().__init__()
        self.wide, self.reaches = wide, [size - 1 for size in sizes]
        self.convolutions = nn.ModuleList([nn.Conv1d(inputs, filters, size, padding=size - 1) for size in sizes])

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Answers of the filters, those of the first width first."""
        kept = mask.unsqueeze(1).to(x.dtype)  # (batch, 1, seq)
        x = x.transpose(1, 2) * kept
        found = [self.largest(convolution(x), kept, self.reaches[i]) for i, convolution in enumerate(self.convolutions)]
        return torch.cat(found, 1)

    def largest(self, answers: torch.Tensor, kept: torch.Tensor, reach: int) -> torch.Tensor:
        """Of one width, ``(batch, filters)``; ``answers`` ``(batch, filters, seq + reach)``, that at i of the window
        which ends there."""
        answers = F.relu(answers)
        if self.wide:
            kept = F.pad(kept, (reach, 0), value=1.0)
        else:
            answers = answers[:, :, reach:]
        return torch.amax(answers * kept, dim=2)
