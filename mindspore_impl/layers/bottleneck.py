"""Mirrors pytorch_impl.layers.bottleneck; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["Bottleneck", "build"]


class Bottleneck(Wrapper):
    """A frozen linear layer with an adapter behind it."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.rectified = edit.arguments.activation == "relu"

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        hidden = F.linear(y, self.adapter_down, self.adapter_down_bias)
        hidden = F.relu(hidden) if self.rectified else F.gelu(hidden)
        return y + F.linear(hidden, self.adapter_up, self.adapter_up_bias)


build = Bottleneck
