"""Mirrors pytorch_impl.layers.condensed; made of it by scripts/convert_models.py."""

from __future__ import annotations

import mindspore as ms

from mindspore_impl import nn

__all__ = ["Condensed"]


class Condensed(ms.nn.Cell):
    """norm(W dropout(norm(x)) + b), ``(batch, inputs)`` to ``(batch, outputs)``."""

    def __init__(self, inputs: int, outputs: int, p: float):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.norm = nn.LayerNorm(inputs)
        self.dropout = nn.Dropout(p)
        self.linear = nn.Linear(inputs, outputs)
        self.output_norm = nn.LayerNorm(outputs)

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        """The hidden vector."""
        return self.output_norm(self.linear(self.dropout(self.norm(x))))
