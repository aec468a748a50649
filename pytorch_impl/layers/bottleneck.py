"""Bottleneck adapters (Houlsby et al. 2019): y + U f(D y + c) + d behind a frozen layer with the output y.

y ``(..., width)``, D ``(size, width)``, U ``(width, size)``; f is GELU or ReLU.
"""

from __future__ import annotations

import torch

from pytorch_impl import functional as F
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["Bottleneck", "build"]


class Bottleneck(Wrapper):
    """A frozen linear layer with an adapter behind it. Shapes: ``(..., in)`` to ``(..., width)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the module."""
        y = self.base_layer(x)
        if not self.active:
            return y
        hidden = F.linear(y, self.adapter_down, self.adapter_down_bias)
        hidden = F.relu(hidden) if self.edit.arguments.activation == "relu" else F.gelu(hidden)
        return y + F.linear(hidden, self.adapter_up, self.adapter_up_bias).to(y.dtype)


build = Bottleneck
