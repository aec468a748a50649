"""LoRA layers (Hu et al. 2021): a frozen layer held by a wrapper that adds a low-rank update.

With x ``(..., in)``, W and b frozen, A ``(slices * rank, in)`` and B ``(adapted outputs, rank)``:

    y = W x + b + P(B) (s A dropout(x)),        s = alpha / rank   (or alpha / sqrt(rank))

P places each slice's B in the rows it adapts (zero elsewhere) and in the columns of its A, so that the q and v parts of GPT-2's fused ``c_attn``
share one product with the stacked A and one product with P(B); with a single slice P is the identity. The scale is applied to the rank-wide tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import nn

from common.adaptation.merge import merged_weight, placement
from common.adaptation.plan import PlanStep
from common.errors import InputError
from pytorch_impl import functional as F
from pytorch_impl.dropout import Dropout
from pytorch_impl.modules import Conv1D, Linear, product

__all__ = ["LoRAEmbedding", "LoRALayer", "LoRALinear", "wrap"]


class LoRALayer(nn.Module):
    """What both LoRA layers share: the wrapped layer, the plan step, switching off, merging and unmerging."""

    def __init__(self, base_layer: nn.Module, step: PlanStep, values: Mapping[str, np.ndarray]):
        super().__init__()
        self.base_layer = base_layer
        self.step = step
        self.enabled = True
        self._kept: torch.Tensor | None = None  # the base weight as it was, while merged
        for name in step.shapes():
            array = torch.from_numpy(np.array(values[name], np.float32)).to(base_layer.weight.device)
            setattr(self, name.rsplit(".", 1)[-1], nn.Parameter(array))

    @property
    def merged(self) -> bool:
        """Whether the update is folded into the base weight."""
        return self._kept is not None

    @property
    def active(self) -> bool:
        """Whether the forward pass adds the update."""
        return self.enabled and not self.merged

    def merge(self) -> float:
        """Fold the update into the base weight, computed above float32 and rounded once; returns the relative rounding error.

        Raises:
            InputError: it is merged already.
        """
        if self.merged:
            raise InputError(
                f"{self.step.path} is merged already; merging twice would add the update twice. Call unmerge first."
            )
        weight = self.base_layer.weight
        adapter = {
            name: getattr(self, name.rsplit(".", 1)[-1]).detach().float().cpu().numpy() for name in self.step.shapes()
        }
        merged, error = merged_weight(self.step, weight.detach().float().cpu().numpy(), adapter)
        self._kept = weight.detach().clone()
        weight.data.copy_(torch.from_numpy(merged))
        return error

    def unmerge(self) -> None:
        """Put the kept copy of the base weight back: exact, to the bit, however often it is done."""
        if self._kept is not None:
            self.base_layer.weight.data.copy_(self._kept)
            self._kept = None


class _Projection(torch.autograd.Function):
    """The whole layer as one node: x is kept once and as it is, the update is added in the matrix product, and dropout's mask is computed again."""

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
        ctx.scaling, ctx.dropped, ctx.fast, ctx.dtype = scaling, dropped, fast, x.dtype
        return y.addmm_(low, b.to(dtype).T).view(*x.shape[:-1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        rows, weight, a, b, low = ctx.saved_tensors
        g = gradient.reshape(-1, gradient.shape[-1])
        by_low = product(g, b.to(g.dtype).T, fast=ctx.fast).mul_(ctx.scaling)
        by_a = product(by_low.T, (rows if ctx.dropped is None else ctx.dropped(rows)).T, fast=ctx.fast).to(a.dtype)
        by_b = product(low.T, g.T, fast=ctx.fast).T.to(b.dtype)
        by_bias = g.sum(0) if ctx.needs_input_grad[2] else None
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = product(g, weight.T, fast=ctx.fast)
            by_x = (
                by_x.addmm_(by_low, a.to(g.dtype))
                if ctx.dropped is None
                else by_x.add_(ctx.dropped(torch.mm(by_low, a.to(g.dtype))))
            )
            by_x = by_x.view(*gradient.shape[:-1], -1).to(ctx.dtype)
        return by_x, None, by_bias, by_a, by_b, None, None, None


class LoRALinear(LoRALayer):
    """LoRA of a linear layer, in either weight layout, whole or in slices of a fused projection. Shapes: ``(..., in)`` to ``(..., out)``."""

    plain: Collection[str] = ()  #: fast paths that are switched off, see `common.backend.FAST_PATHS`

    def __init__(self, base_layer: nn.Module, step: PlanStep, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, step, values)
        self.dropout = Dropout(f"{step.path}.lora_dropout", step.arguments.dropout)
        rows, mask = (
            (torch.from_numpy(array).to(base_layer.weight.device) for array in placement(step))
            if step.arguments.slices
            else (None, None)
        )
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = base(x) + P(B) (s A dropout(x))."""
        base = self.base_layer
        if (
            self.active
            and "lora" not in self.plain
            and type(base) in (Linear, Conv1D)
            and not base.weight.requires_grad
        ):
            weight = base.weight.T if self.step.kind == "conv1d" else base.weight
            scaling, mask = self.step.arguments.scaling, self.dropout.mask(x.shape)
            return _Projection.apply(
                x, weight, base.bias, self.lora_A, self.placed_b(), scaling, mask, "products" not in self.plain
            )
        y = base(x)
        if not self.active:
            return y
        low = F.linear(self.dropout(x), self.lora_A) * self.step.arguments.scaling  # (..., slices * rank)
        return y + F.linear(low.to(y.dtype), self.placed_b().to(y.dtype))

    def placed_b(self) -> torch.Tensor:
        """P(B), ``(out, slices * rank)``: see `common.adaptation.merge.placement`."""
        if self.rows is None:
            return self.lora_B
        return self.lora_B[self.rows].tile(1, len(self.step.ranges)) * self.mask


class LoRAEmbedding(LoRALayer):
    """LoRA of an embedding: y = W[ids] + s A^T[ids] B^T with A ``(rank, rows)``, B ``(width, rank)``. No dropout, as in PEFT."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """ids ``(...)`` to ``(..., width)``."""
        y = self.base_layer(ids)
        if not self.active:
            return y
        low = F.embedding(ids, self.lora_embedding_A.T) * self.step.arguments.scaling
        return y + F.linear(low.to(y.dtype), self.lora_embedding_B.to(y.dtype))


def wrap(base_layer: nn.Module, step: PlanStep, values: Mapping[str, np.ndarray]) -> LoRALayer:
    """The LoRA layer for the kind of module that ``step`` names."""
    return (LoRAEmbedding if step.kind == "embedding" else LoRALinear)(base_layer, step, values)
