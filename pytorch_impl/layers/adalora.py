"""AdaLoRA layers (Zhang et al. 2023): a frozen layer and an update in the form of a singular value decomposition.

With x ``(..., in)``, W and b frozen, Q ``(rank, in)``, e ``(rank, 1)`` and P ``(out, rank)``:

    y = W x + b + s P (e * (Q dropout(x)))
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from pytorch_impl import functional as F
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["AdaLoRALinear", "build"]


class AdaLoRALinear(Wrapper):
    """AdaLoRA of a linear layer, in either weight layout. Shapes: ``(..., in)`` to ``(..., out)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = self.base_layer(x)
        if not self.active:
            return y
        scaled = self.lora_A * self.lora_E * self.edit.arguments.scaling  # (rank, in)
        return y + F.linear(F.linear(self.dropout(x), scaled), self.lora_B).to(y.dtype)


build = AdaLoRALinear
