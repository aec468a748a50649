"""Mirrors pytorch_impl.layers.dynamic_attention; made of it by scripts/convert_models.py."""

from __future__ import annotations

import mindspore as ms
from mindspore import mint, ops

from mindspore_impl import functional as F
from mindspore_impl import nn
from mindspore_impl.shims import tensor as tensors

__all__ = ["DynamicAttention"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class DynamicAttention(ms.nn.Cell):
    """``(batch, seq, inputs)`` and the mask ``(batch, seq)`` to ``(batch, heads * size)``.

    Of each head h_t = leaky_relu(W x_t + b) and q_t = 0; then ``steps`` times a = softmax(q) over the words, which
    passes no gradient, z = tanh(sum of a_t h_t), and q_t += h_t . z. The last z is given.
    """

    def __init__(self, inputs: int, heads: int, size: int, steps: int, slope: float = 0.01):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.heads, self.size, self.steps, self.slope = heads, size, steps, slope
        self.projection = nn.Linear(inputs, heads * size)

    def construct(self, x: ms.Tensor, mask: ms.Tensor) -> ms.Tensor:
        """The vectors of all heads, one after the other."""
        batch, length = mask.shape
        hidden = F.leaky_relu(self.projection(x), self.slope)
        hidden = mint.transpose(
            tensors.reshape(hidden, batch, length, self.heads, self.size), 1, 2
        )  # (batch, heads, seq, size)
        absent = (1.0 - mask.to(x.dtype)).unsqueeze(1) * _NEGATIVE  # (batch, 1, seq)
        scores = ops.zeros_like(hidden[:, :, :, 0])  # (batch, heads, seq)
        vector = hidden[:, :, 0]
        for _ in range(self.steps):
            weights = tensors.detach(F.softmax(scores + absent, dim=2))
            vector = F.tanh(F.squeeze(F.matmul(weights.unsqueeze(2), hidden), 2))  # (batch, heads, size)
            scores = scores + F.squeeze(F.matmul(hidden, vector.unsqueeze(3)), 3)
        return tensors.reshape(vector, batch, self.heads * self.size)
