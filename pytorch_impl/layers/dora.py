"""DoRA layers (Liu et al. 2024): LoRA of a frozen weight's directions, with a trained magnitude for each output.

With x ``(..., in)``, W and b frozen, V = W + s B A and the trained magnitudes m ``(out,)``:

    y = (m / |V|) * (W x + s B A dropout(x)) + b,
 where |V| ``(out,)``, the norms of the rows, is a constant for the gradient (section 4.3). While dropout is active,
PEFT applies it to the input of W in the correction too, y = W x + b + (m / |V| - 1) W dropout(x) + (m / |V|) s B A
dropout(x); so does this layer.
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

__all__ = ["DoRALinear", "build"]


class DoRALinear(Wrapper):
    """DoRA of a linear layer, in either weight layout. Shapes: ``(..., in)`` to ``(..., out)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        base = self.base_layer(x)
        if not self.active:
            return base
        dropped = self.dropout(x)
        factor = (self.lora_magnitude_vector / self.norms()).to(base.dtype)
        update = F.linear(F.linear(dropped, self.lora_A) * self.edit.arguments.scaling, self.lora_B).to(base.dtype)
        if self.edit.arguments.dropout > 0:
            return base + (factor - 1) * F.linear(dropped, self.weight()).to(base.dtype) + factor * update
        plain = base if self.base_layer.bias is None else base - self.base_layer.bias
        return base + (factor - 1) * plain + factor * update

    def weight(self) -> torch.Tensor:
        """W, ``(out, in)``."""
        weight = self.base_layer.weight
        return weight.T if self.edit.module.kind.transposed else weight

    @torch.no_grad()
    def norms(self) -> torch.Tensor:
        """|W + s B A|, ``(out,)`` float32."""
        whole = self.weight().float() + self.edit.arguments.scaling * (self.lora_B.float() @ self.lora_A.float())
        return torch.linalg.vector_norm(whole, dim=1)


build = DoRALinear
