"""Mirrors pytorch_impl.layers.lora_embedding; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import nn, ops

from common.edits import Edit
from mindspore_impl import functional as F
from mindspore_impl.layers.wrapper import Wrapper

__all__ = ["LoRAEmbedding", "build"]


class LoRAEmbedding(Wrapper):
    """``(...)`` ids to ``(..., width)``."""

    def __init__(self, base_layer: nn.Cell, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.scaling = edit.arguments.scaling

    def construct(self, ids):
        y = self.base_layer(ids)
        if not self.active:
            return y
        low = F.embedding(ids, ops.transpose(self.lora_embedding_A, (1, 0))) * self.scaling
        return y + F.linear(low, self.lora_embedding_B)


build = LoRAEmbedding
