"""Mirrors pytorch_impl.layers.distances; made of it by scripts/convert_models.py."""

from __future__ import annotations

import mindspore as ms
from mindspore import mint

from mindspore_impl import functional as F

__all__ = ["Output"]


class Output(ms.nn.Cell):
    """-||x - w_c|| for every row w_c of the weight; ``(batch, width)`` to ``(batch, outputs)``."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.weight = ms.Parameter(F.zeros(outputs, width))

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        """The distances, negative."""
        difference = x.unsqueeze(-2) - self.weight
        return -mint.sqrt(F.clamp(F.sum(difference * difference, -1), min=1e-12))
