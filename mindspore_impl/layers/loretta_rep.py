"""Mirrors pytorch_impl.layers.loretta_rep; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.trains import TrainWrapper

__all__ = ["TrainUpdate", "build"]


class TrainUpdate(TrainWrapper):
    """A frozen linear layer, in either weight layout, and its update."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)
        self.scaling = edit.arguments.scaling

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        low = self.product("lora_A", self.dropout(x)) * self.scaling  # (..., rank)
        return y + self.product("lora_B", low)


build = TrainUpdate
