"""Mirrors pytorch_impl.layers.lora_convolution; differs: a convolution of one dimension is one of two over a single row,
as MindSpore computes it, and the cells of converted networks call torch's function."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.modules import convolved, kind_of_convolution
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["LoRAConvolution", "build"]

_matmul = ops.MatMul()


class LoRAConvolution(Wrapper):
    """``(batch, in, ...)`` to ``(batch, out, ...)``, of one or two dimensions."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.scaling = edit.arguments.scaling
        self.kind = kind_of_convolution(base_layer)

    def construct(self, x):
        base = self.base_layer
        if not self.active:
            return base(x)
        update = F.reshape(_matmul(self.lora_B, self.lora_A), base.weight.shape) * self.scaling
        return convolved(base, self.kind, base.weight + update, x)


build = LoRAConvolution
