"""Dynamic self-attention (Yoon et al. 2018, arXiv 1808.07383).

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["DynamicAttention"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class DynamicAttention(nn.Module):
    """``(batch, seq, inputs)`` and the mask ``(batch, seq)`` to ``(batch, heads * size)``.

    Of each head h_t = leaky_relu(W x_t + b) and q_t = 0; then ``steps`` times a = softmax(q) over the words, which
    passes no gradient, z = tanh(sum of a_t h_t), and q_t += h_t . z. The last z is given.
    """

    def __init__(self, inputs: int, heads: int, size: int, steps: int, slope: float = 0.01):
        super().__init__()
        self.heads, self.size, self.steps, self.slope = heads, size, steps, slope
        self.projection = nn.Linear(inputs, heads * size)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vectors of all heads, one after the other."""
        batch, length = mask.shape
        hidden = F.leaky_relu(self.projection(x), self.slope)
        hidden = hidden.reshape(batch, length, self.heads, self.size).transpose(1, 2)  # (batch, heads, seq, size)
        absent = (1.0 - mask.to(x.dtype)).unsqueeze(1) * _NEGATIVE  # (batch, 1, seq)
        scores = torch.zeros_like(hidden[:, :, :, 0])  # (batch, heads, seq)
        vector = hidden[:, :, 0]
        for _ in range(self.steps):
            weights = torch.softmax(scores + absent, dim=2).detach()
            vector = torch.tanh(torch.matmul(weights.unsqueeze(2), hidden).squeeze(2))  # (batch, heads, size)
            scores = scores + torch.matmul(hidden, vector.unsqueeze(3)).squeeze(3)
        return vector.reshape(batch, self.heads * self.size)
