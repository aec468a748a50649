"""Mirrors pytorch_impl.layers.adalora; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["AdaLoRALinear", "build"]


class AdaLoRALinear(Wrapper):
    """AdaLoRA of a linear layer, in either weight layout."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)
        self.scaling = edit.arguments.scaling

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        scaled = self.lora_A * self.lora_E * self.scaling  # (rank, in)
        return y + F.linear(F.linear(self.dropout(x), scaled), self.lora_B)


build = AdaLoRALinear
