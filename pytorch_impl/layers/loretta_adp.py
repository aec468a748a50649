"""LoRETTA's adapters (Yang et al. 2024): y + U f(D y + c) + d behind a frozen layer with the output y, where D and U
are tensor trains; f is ReLU, tanh or GELU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from pytorch_impl import functional as F
from pytorch_impl.layers.trains import TrainWrapper

__all__ = ["TrainAdapter", "build"]

_ACTIVATIONS = {"relu": F.relu, "tanh": F.tanh, "gelu": F.gelu}


class TrainAdapter(TrainWrapper):
    """A frozen linear layer with an adapter behind it. Shapes: ``(..., in)`` to ``(..., width)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.activation = _ACTIVATIONS[edit.arguments.activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = self.base_layer(x)
        if not self.active:
            return y
        hidden = self.activation(self.product("down", y) + self.down_bias)
        return y + (self.product("up", hidden) + self.up_bias).to(y.dtype)


build = TrainAdapter
