"""LoRA layers (Hu et al. 2021): a frozen layer held by a wrapper that adds a low-rank update.

With x ``(..., in)``, W and b frozen, A ``(slices * rank, in)`` and B ``(adapted outputs, rank)``:

    y = W x + b + P(B) (s A dropout(x)),        s = alpha / rank   (or alpha / sqrt(rank))
 P places each slice's B in the rows it adapts (zero elsewhere) and in the columns of its A, so that the q and v parts
of GPT-2's fused ``c_attn`` share one product with the stacked A and one product with P(B); with a single slice P is the
identity. The scale is applied to the rank-wide tensor. Where A and B start from the weight
(`common.methods.starts`), their start P(B0) (s A0 x) is taken off.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import nn

from common.edits import Edit
from common.memory.formula import Layer
from common.methods.lora import placed_b, placement
from pytorch_impl import functional as F
from pytorch_impl.layers.dropout import Dropout
from pytorch_impl.layers.modules import Conv1D, Linear, product
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["LoRALinear", "build", "kept"]


class _Projection(torch.autograd.Function):
    """The whole layer as one node: x is kept once and as it is, the update is added in the matrix product, and
    dropout's mask is computed again. ``(..., in)`` to ``(tokens, out)``: a view may be changed in place only where it is no
    output of this."""

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scaling, dropped, fast):
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        rows = x.reshape(-1, x.shape[-1]).to(dtype)  # (tokens, in)
        weight = weight.to(dtype)
        y = product(rows, weight, None if bias is None else bias.to(dtype), fast)
        low = product(rows if dropped is None else dropped(rows), a.to(dtype), fast=fast).mul_(
            scaling
        )  # (tokens, slices * rank)
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scaling, ctx.dropped, ctx.fast, ctx.dtype, ctx.shape = scaling, dropped, fast, x.dtype, x.shape
        return y.addmm_(low, b.to(dtype).T)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        rows, weight, a, b, low = ctx.saved_tensors
        grad_low = product(g, b.to(g.dtype).T, fast=ctx.fast).mul_(ctx.scaling)
        grad_a = product(grad_low.T, (rows if ctx.dropped is None else ctx.dropped(rows)).T, fast=ctx.fast).to(a.dtype)
        grad_b = product(low.T, g.T, fast=ctx.fast).T.to(b.dtype)
        grad_bias = g.sum(0) if ctx.needs_input_grad[2] else None
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = product(g, weight.T, fast=ctx.fast)
            grad_x = (
                grad_x.addmm_(grad_low, a.to(g.dtype))
                if ctx.dropped is None
                else grad_x.add_(ctx.dropped(torch.mm(grad_low, a.to(g.dtype))))
            )
            grad_x = grad_x.view(ctx.shape).to(ctx.dtype)
        return grad_x, None, grad_bias, grad_a, grad_b, None, None, None


class LoRALinear(Wrapper):
    """LoRA of a linear layer, in either weight layout, whole or in slices of a fused projection. Shapes: ``(..., in)``
    to ``(..., out)``."""

    plain: Collection[str] = ()  #: fast paths that are switched off, see `common.backend.FAST_PATHS`

    def __init__(self, base_layer: nn.Module, edit: Edit, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, edit, values)
        self.dropout = Dropout(f"{edit.path}.lora_dropout", edit.arguments.dropout)
        device = next(base_layer.parameters()).device
        rows, mask = (
            (torch.from_numpy(array).to(device) for array in placement(edit)) if edit.arguments.slices else (None, None)
        )
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("mask", mask, persistent=False)
        start = edit.arguments.start
        first, second = (None, None) if start is None else (start.a, placed_b(edit, start.b))
        for name, array in (("start_A", first), ("start_B", second)):
            self.register_buffer(name, None if array is None else torch.from_numpy(array).to(device), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = base(x) + P(B) (s A dropout(x)) - P(B0) (s A0 x)."""
        y = self.updated(x)
        if self.start_A is None or not self.active:
            return y
        low = F.linear(x, self.start_A) * self.edit.arguments.scaling
        return y - F.linear(low, self.start_B).to(y.dtype)

    def updated(self, x: torch.Tensor) -> torch.Tensor:
        """base(x) + P(B) (s A dropout(x))."""
        base = self.base_layer
        if (
            self.active
            and "lora" not in self.plain
            and type(base) in (Linear, Conv1D)
            and not base.weight.requires_grad
        ):
            weight = base.weight.T if self.edit.module.kind.transposed else base.weight
            scaling, mask = self.edit.arguments.scaling, self.dropout.mask(x.shape)
            fast = "products" not in self.plain
            y = _Projection.apply(x, weight, base.bias, self.lora_A, self.placed_b(), scaling, mask, fast)
            return y.view(*x.shape[:-1], -1)
        y = base(x)
        if not self.active:
            return y
        low = F.linear(self.dropout(x), self.lora_A) * self.edit.arguments.scaling  # (..., slices * rank)
        return y + F.linear(low.to(y.dtype), self.placed_b().to(y.dtype))

    def placed_b(self) -> torch.Tensor:
        """P(B), ``(out, slices * rank)``: see `common.methods.lora.placement`."""
        if self.rows is None:
            return self.lora_B
        return self.lora_B[self.rows].tile(1, len(self.edit.arguments.parts)) * self.mask


build = LoRALinear


def kept(edit: Edit, rows: int) -> Layer:
    """The input as it is, the rank-wide tensor and P(B); the mask of the dropout is computed again."""
    columns = len(edit.arguments.parts) * edit.arguments.rank
    return Layer(True, (rows + bool(edit.arguments.slices) * edit.module.out_features) * columns)
