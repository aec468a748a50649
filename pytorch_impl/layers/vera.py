"""VeRA layers (Kopiczko et al. 2024): a frozen layer with an update between frozen random matrices.

With x ``(..., in)``, W, b, A ``(rank, in)`` and B ``(out, rank)`` frozen, and trained vectors d ``(rank,)``, s ``(out,)``:

    y = W x + b + s * (B (d * (A dropout(x))))

All layers read the same A and B, of which they take the first columns and rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.methods.vera import Projections, projections
from pytorch_impl import functional as F
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["VeRALinear", "build"]


class VeRALinear(Wrapper):
    """VeRA of a linear layer, in either weight layout. Shapes: ``(..., in)`` to ``(..., out)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.vera_dropout", edit.arguments.dropout)
        a, b = _shared(edit.arguments.projections, str(next(base_layer.parameters()).device))
        self.register_buffer("vera_A", a[:, : edit.module.in_features], persistent=False)  # views of the shared ones
        self.register_buffer("vera_B", b[: edit.module.out_features], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = self.base_layer(x)
        if not self.active:
            return y
        low = F.linear(self.dropout(x), self.vera_A) * self.vera_lambda_d  # (..., rank)
        return y + (F.linear(low, self.vera_B) * self.vera_lambda_b).to(y.dtype)


@lru_cache(maxsize=4)
def _shared(which: Projections, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = (torch.from_numpy(np.array(array)).to(device) for array in projections(which))
    return a, b


build = VeRALinear
