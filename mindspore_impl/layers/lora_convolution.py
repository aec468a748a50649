"""Mirrors pytorch_impl.layers.lora_convolution; differs: a convolution of one dimension is one of two over a single row,
as MindSpore computes it, and the cells of converted networks call torch's function."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.modules import Convolution
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["LoRAConvolution", "build"]

_matmul = ops.MatMul()


class LoRAConvolution(Wrapper):
    """``(batch, in, ...)`` to ``(batch, out, ...)``, of one or two dimensions."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.scaling = edit.arguments.scaling
        self.one_dimension = isinstance(base_layer, nn.Conv1d | Convolution)
        self.converted = not isinstance(base_layer, nn.Conv1d | nn.Conv2d | Convolution)

    def construct(self, x):
        base = self.base_layer
        if not self.active:
            return base(x)
        update = F.reshape(_matmul(self.lora_B, self.lora_A), base.weight.shape) * self.scaling
        if self.converted:
            given = (base.bias, base.stride, base.padding, base.dilation, base.groups)
            return base.function(x, base.weight + update, *given)
        if self.one_dimension:
            x = ops.expand_dims(x, 2)
        weight = base.weight + update
        y = base.conv2d(x, ops.expand_dims(weight, 2) if weight.ndim == 3 else weight)
        if base.has_bias:
            y = base.bias_add(y, base.bias)
        return ops.squeeze(y, 2) if self.one_dimension else y


build = LoRAConvolution
