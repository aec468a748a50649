"""Mirrors pytorch_impl.layers.dora; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["DoRALinear", "build"]


class DoRALinear(Wrapper):
    """DoRA of a linear layer, in either weight layout."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)
        self.drops = edit.arguments.dropout > 0
        self.scaling = edit.arguments.scaling
        self.transposed = edit.module.kind.transposed

    def construct(self, x):
        base = self.base_layer(x)
        if not self.active:
            return base
        dropped = self.dropout(x)
        factor = self.lora_magnitude_vector / self.norms()
        update = F.linear(F.linear(dropped, self.lora_A) * self.scaling, self.lora_B)
        if self.drops:
            return base + (factor - 1) * F.linear(dropped, self.weight()) + factor * update
        plain = base if self.base_layer.bias is None else base - self.base_layer.bias
        return base + (factor - 1) * plain + factor * update

    def weight(self):
        """W, ``(out, in)``."""
        weight = self.base_layer.weight
        return ops.swapaxes(weight, 0, 1) if self.transposed else weight

    def norms(self):
        """|W + s B A|, ``(out,)`` float32."""
        whole = self.weight() + self.scaling * F.matmul(self.lora_B, self.lora_A)
        return ops.stop_gradient(ops.sqrt(F.sum(whole * whole, 1)))


build = DoRALinear
