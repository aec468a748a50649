"""Mirrors pytorch_impl.lora; differs: parameters are named canonically."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.adaptation.merge import merged_weight, placement
from common.adaptation.plan import PlanStep
from common.errors import InputError
from mindspore_impl import functional as F
from mindspore_impl.dropout import Dropout
from mindspore_impl.modules import assign

__all__ = ["LoRAEmbedding", "LoRALayer", "LoRALinear", "wrap"]


class LoRALayer(nn.Cell):
    """What both LoRA layers share: the wrapped layer, the plan step, switching off, merging and unmerging."""

    def __init__(self, base_layer: nn.Cell, step: PlanStep, values: Mapping[str, np.ndarray]):
        super().__init__(auto_prefix=False)
        self.base_layer = base_layer
        self.step = step
        self.path = step.path
        self.scaling = step.arguments.scaling
        self.active = True
        self._enabled = True
        self._kept = None  # the base weight as it was, while merged
        for name in step.shapes():
            setattr(self, name.rsplit(".", 1)[-1], Parameter(Tensor(np.array(values[name], np.float32)), name=name))

    @property
    def merged(self) -> bool:
        """Whether the update is folded into the base weight."""
        return self._kept is not None

    @property
    def enabled(self) -> bool:
        """Whether the update is switched on. ``active``, which graphs read as a constant, follows it and ``merged``."""
        return self._enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._enabled = enabled
        self.active = enabled and not self.merged

    def merge(self) -> float:
        """Fold the update into the base weight; returns the relative rounding error."""
        if self.merged:
            raise InputError(
                f"{self.step.path} is merged already; merging twice would add the update twice. Call unmerge first."
            )
        weight = self.base_layer.weight.asnumpy()
        adapter = {name: getattr(self, name.rsplit(".", 1)[-1]).asnumpy() for name in self.step.shapes()}
        merged, error = merged_weight(self.step, weight, adapter)
        self._kept = weight.copy()
        assign(self.base_layer.weight, merged)
        self.active = False
        return error

    def unmerge(self) -> None:
        """Put the kept copy of the base weight back: exact, to the bit."""
        if self._kept is not None:
            assign(self.base_layer.weight, self._kept)
            self._kept = None
            self.active = self._enabled


class LoRALinear(LoRALayer):
    """LoRA of a linear layer, in either weight layout, whole or in slices of a fused projection."""

    def __init__(self, base_layer: nn.Cell, step: PlanStep, values: Mapping[str, np.ndarray]):
        super().__init__(base_layer, step, values)
        self.dropout = Dropout(f"{step.path}.lora_dropout", step.arguments.dropout)
        self.slices = len(step.ranges)
        self.rows, self.mask = (Tensor(array) for array in placement(step)) if step.arguments.slices else (None, None)

    def construct(self, x):
        y = self.base_layer(x)
        if not self.active:
            return y
        low = F.linear(self.dropout(x), self.lora_A) * self.scaling  # (..., slices * rank)
        return y + F.linear(low, self.placed_b())

    def placed_b(self):
        """P(B), ``(out, slices * rank)``."""
        if self.rows is None:
            return self.lora_B
        return F.tile(F.index_select(self.lora_B, 0, self.rows), (1, self.slices)) * self.mask


class LoRAEmbedding(LoRALayer):
    """LoRA of an embedding: y = W[ids] + s A^T[ids] B^T."""

    def construct(self, ids):
        y = self.base_layer(ids)
        if not self.active:
            return y
        low = F.embedding(ids, ops.transpose(self.lora_embedding_A, (1, 0))) * self.scaling
        return y + F.linear(low, self.lora_embedding_B)


def wrap(base_layer: nn.Cell, step: PlanStep, values: Mapping[str, np.ndarray]) -> LoRALayer:
    """The LoRA layer for the kind of module that ``step`` names."""
    return (LoRAEmbedding if step.kind == "embedding" else LoRALinear)(base_layer, step, values)
