"""LoRETTA's updates (Yang et al. 2024): y = W x + b + s B A dropout(x), where A and B are tensor trains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.trains import TrainWrapper

__all__ = ["TrainUpdate", "build"]


class TrainUpdate(TrainWrapper):
    """A frozen linear layer, in either weight layout, and its update. Shapes: ``(..., in)`` to ``(..., out)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = self.base_layer(x)
        if not self.active:
            return y
        low = self.product("lora_A", self.dropout(x)) * self.edit.arguments.scaling  # (..., rank)
        return y + self.product("lora_B", low).to(y.dtype)


build = TrainUpdate
