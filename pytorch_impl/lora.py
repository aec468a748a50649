"""LoRA layers (Hu et al. 2021): a frozen layer held by a wrapper that adds a low-rank update.

With x ``(..., in)``, W and b frozen, A ``(slices * rank, in)`` and B ``(adapted outputs, rank)``:

    y = W x + b + P(B) (s A dropout(x)),        s = alpha / rank   (or alpha / sqrt(rank))

P places each slice's B in the rows it adapts (zero elsewhere) and in the columns of its A, so that the q and v parts of GPT-2's fused ``c_attn``
share one product with the stacked A and one product with P(B); with a single slice P is the identity. The scale is applied to the rank-wide tensor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from common.adaptation.merge import merged_weight, placement
from common.adaptation.plan import PlanStep
from common.errors import InputError
from pytorch_impl import functional as F
from pytorch_impl.dropout import Dropout

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
            raise InputError(f"{self.step.path} is merged already; merging twice would add the update twice. Call unmerge first.")
        weight = self.base_layer.weight
        adapter = {name: getattr(self, name.rsplit(".", 1)[-1]).detach().float().cpu().numpy() for name in self.step.shapes()}
        merged, error = merged_weight(self.step, weight.detach().float().cpu().numpy(), adapter)
        self._kept = weight.detach().clone()
        weight.data.copy_(torch.from_numpy(merged))
        return error

    def unmerge(self) -> None:
        """Put the kept copy of the base weight back: exact, to the bit, however often it is done."""
        if self._kept is not None:
            self.base_layer.weight.data.copy_(self._kept)
            self._kept = None


class LoRALinear(LoRALayer):
    """LoRA of a linear layer, in either weight layout, whole or in slices of a fused projection. Shapes: ``(..., in)`` to ``(..., out)``."""

    def __init__(self, base_layer: nn.Module, step: PlanStep, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, step, values)
        self.dropout = Dropout(f"{step.path}.lora_dropout", step.arguments.dropout)
        rows, mask = (torch.from_numpy(array).to(base_layer.weight.device) for array in placement(step)) if step.arguments.slices else (None, None)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """y = base(x) + P(B) (s A dropout(x))."""
        y = self.base_layer(x)
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
