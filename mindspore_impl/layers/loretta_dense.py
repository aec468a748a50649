"""Mirrors pytorch_impl.layers.loretta_dense; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl.layers.trains import TrainWrapper

__all__ = ["TrainLinear", "build"]


class TrainLinear(TrainWrapper):
    """The weight of the layer before is not used."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.biased = edit.module.bias

    def construct(self, x):
        if not self.active:
            return self.base_layer(x)
        y = self.product("dense", x)
        return y + self.dense_bias if self.biased else y


build = TrainLinear
