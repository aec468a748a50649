"""A linear layer whose weight is a tensor train, y = T x + b, in the place of one that it holds for being switched
off."""

from __future__ import annotations

import torch

from pytorch_impl.layers.trains import TrainWrapper

__all__ = ["TrainLinear", "build"]


class TrainLinear(TrainWrapper):
    """The weight of the layer before is not used. Shapes: ``(..., in)`` to ``(..., out)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        if not self.active:
            return self.base_layer(x)
        y = self.product("dense", x)
        return y + self.dense_bias.to(y.dtype) if self.edit.module.bias else y


build = TrainLinear
