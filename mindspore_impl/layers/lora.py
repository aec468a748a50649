"""Mirrors pytorch_impl.layers.lora; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Tensor, nn

from common.edits import Edit
from common.memory.formula import Layer
from common.methods.lora import placed_b, placement
from mindspore_impl import functional as F
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["LoRALinear", "build", "kept"]


class LoRALinear(Wrapper):
    """LoRA of a linear layer, in either weight layout, whole or in slices of a fused projection."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)
        self.scaling = edit.arguments.scaling
        self.slices = len(edit.arguments.parts)
        self.rows, self.mask = (Tensor(array) for array in placement(edit)) if edit.arguments.slices else (None, None)
        start = edit.arguments.start
        self.starts = start is not None
        if start is not None:
            self.start_A, self.start_B = Tensor(start.a), Tensor(placed_b(edit, start.b))

    def construct(self, x):
        y = self.updated(x)
        if not self.starts or not self.active:
            return y
        return y - F.linear(F.linear(x, self.start_A) * self.scaling, self.start_B)

    def updated(self, x):
        """base(x) + P(B) (s A dropout(x))."""
        y = self.base_layer(x)
        if not self.active:
            return y
        low = F.linear(self.dropout(x), self.lora_A) * self.scaling  # (..., slices * rank)
        return y + F.linear(low, self.placed_b())

    def placed_b(self):
        """P(B), ``(out, slices * rank)``."""
        if self.rows is None:
            return self.lora_B
        return F.tile(F.index_select(self.lora_B, 0, self.rows), (1, self.slices)) * self.mask


build = LoRALinear


def kept(edit: Edit, rows: int) -> Layer:
    """The rank-wide tensor, P(B), and the input: with dropout a copy of its own, and the mask in float32."""
    columns, dropped = len(edit.arguments.parts) * edit.arguments.rank, edit.arguments.dropout > 0
    low = (rows + bool(edit.arguments.slices) * edit.module.out_features) * columns
    return Layer(not dropped, low + 2 * dropped * rows * edit.module.in_features)
