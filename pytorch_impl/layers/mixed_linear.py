"""A linear layer with the weights of several adapters, of which every row of a batch uses its own: y = W_r x + b_r.

W ``(adapters + 1, out, in)``; the last are those of the base model. For evaluation.
"""

from __future__ import annotations

import numpy as np
import torch

from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["MixedLinear", "build"]


class MixedLinear(Wrapper):
    """Shapes: ``(batch, ..., in)`` to ``(batch, ..., out)``."""

    def choose(self, rows: np.ndarray) -> None:
        """The adapter of each row of the next batch, ``(batch,)``."""
        self.rows = torch.from_numpy(rows).long().to(self.mixed_weight.device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        if not self.active:
            return self.base_layer(x)
        weight = self.mixed_weight[self.rows]  # (batch, out, in)
        y = torch.matmul(x.reshape(len(self.rows), -1, x.shape[-1]), weight.transpose(1, 2))
        if self.edit.module.bias:
            y = y + self.mixed_bias[self.rows][:, None]
        return y.view(*x.shape[:-1], -1)


build = MixedLinear
