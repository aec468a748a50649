"""LoRA of several adapters, of which every row of a batch uses its own: y = W x + b + B (m A x).

A ``(ranks, in)`` and B ``(out, ranks)`` hold the factors of all adapters one beside the other, and m the scale of the
row's own adapter at its ranks, 0 elsewhere. No row is computed twice. For evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from pytorch_impl import functional as F
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["MixedLoRA", "build"]


class MixedLoRA(Wrapper):
    """A frozen linear layer with the updates. Shapes: ``(batch, ..., in)`` to ``(batch, ..., out)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        shares = torch.from_numpy(edit.arguments.shares()).to(next(base_layer.parameters()).device)
        self.register_buffer("shares", shares, persistent=False)

    def choose(self, rows: np.ndarray) -> None:
        """The adapter of each row of the next batch, ``(batch,)``."""
        self.rows = torch.from_numpy(rows).long().to(self.shares.device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = self.base_layer(x)
        if not self.active:
            return y
        low = F.linear(x.reshape(len(self.rows), -1, x.shape[-1]), self.mixed_A) * self.shares[self.rows][:, None]
        return y + F.linear(low, self.mixed_B).view(y.shape).to(y.dtype)


build = MixedLoRA
