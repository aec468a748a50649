"""What layers of few bits share: their stored parameters, a weight that is made anew in every pass, products and
lookups.

   y = x W^T + b,        grad_x = grad_y W
Nothing is kept for the backward pass, neither x, since W gets no gradient, nor W.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.models.layers import LAYERS
from pytorch_impl.layers.modules import product

__all__ = ["Frozen"]


def computed_in(x: torch.Tensor) -> torch.dtype:
    """The dtype of autocast, or of ``x``."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class _Product(torch.autograd.Function):
    """``(tokens, in)`` to ``(tokens, out)`` without a bias."""

    @staticmethod
    def forward(ctx, rows, layer):
        ctx.layer = layer
        return layer.multiplied(rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return product(g, ctx.layer.weight(g).to(g.dtype).T), None


class Frozen(nn.Module):
    """``(..., in)`` to ``(..., out)``, or ids ``(...)`` to ``(..., width)``. Layers say in ``weight`` what W is.

    Args:
        module: what it replaces.
        values: of its parameters, by name; those that are missing are written later.
    """

    def __init__(self, module: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__()
        self.edit = edit
        integers = LAYERS.get(edit.layer).module(edit.module, edit.arguments).integers()
        self.bias: nn.Parameter | None = None
        device = next(module.parameters()).device
        for own in edit.parameters:
            dtype = integers.get(own.name, np.dtype(np.float32))
            array = np.array(values.get(own.name, np.zeros(own.shape)), dtype)
            value = torch.from_numpy(array).to(device)
            setattr(self, own.leaf, nn.Parameter(value, requires_grad=own.name not in integers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A product or a lookup."""
        if self.edit.module.kind.lookup:
            return self.looked_up(x)
        rows = x.reshape(-1, x.shape[-1])
        y = self.multiplied(rows) if torch.compiler.is_exporting() else _Product.apply(rows, self)
        y = y if self.bias is None else y + self.bias.to(y.dtype)
        return y.view(*x.shape[:-1], -1)

    def multiplied(self, rows: torch.Tensor) -> torch.Tensor:
        """The product of ``(tokens, in)``, in the dtype of autocast, or of ``rows``."""
        dtype = computed_in(rows)
        return product(rows.to(dtype), self.weight(rows).to(dtype))

    def weight(self, after: torch.Tensor) -> torch.Tensor:
        """W ``(out, in)``; of a table ``(rows, width)``. Float32, or float64 with scales of float64.

        Args:
            after: of what it is made for; its counterpart makes it when this is there.
        """
        raise NotImplementedError

    def looked_up(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of ``ids``."""
        raise NotImplementedError
