"""Mirrors pytorch_impl.layers.loretta_adp; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.trains import TrainWrapper

__all__ = ["TrainAdapter", "build"]

_ACTIVATIONS = {"relu": F.relu, "tanh": F.tanh, "gelu": F.gelu}


class TrainAdapter(TrainWrapper):
    """A frozen linear layer with an adapter behind it."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.activation = _ACTIVATIONS[edit.arguments.activation]

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        hidden = self.activation(self.product("down", y) + self.down_bias)
        return y + (self.product("up", hidden) + self.up_bias)


build = TrainAdapter
