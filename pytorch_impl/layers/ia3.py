"""(IA)^3 layers (Liu et al. 2022): a frozen linear layer whose output, or input, is scaled feature by feature.

With x ``(..., in)``, W and b frozen and the trained vector l: y = P(l) * (W x + b), l ``(scaled outputs,)``, or
y = W (l * x) + b, l ``(in,)``. P places l in the features of the scaled slices and one elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.methods.ia3 import placement
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["IA3Linear", "build"]


class IA3Linear(Wrapper):
    """(IA)^3 of a linear layer, in either weight layout. Shapes: ``(..., in)`` to ``(..., out)``."""

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        device = next(base_layer.parameters()).device
        rows, mask = (
            (torch.from_numpy(array).to(device) for array in placement(edit)) if edit.arguments.slices else (None, None)
        )
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = P(l) * base(x), or base(l * x)."""
        if not self.active:
            return self.base_layer(x)
        if self.edit.arguments.of_input:
            return self.base_layer(x * self.ia3_l.to(x.dtype))
        y = self.base_layer(x)
        return y * self.placed().to(y.dtype)

    def placed(self) -> torch.Tensor:
        """P(l), ``(out,)``: see `common.methods.ia3.placement`."""
        if self.rows is None:
            return self.ia3_l
        return self.ia3_l[self.rows] * self.mask + (1.0 - self.mask)


build = IA3Linear
