"""LoRA of an embedding (Hu et al. 2021): y = W[ids] + s A^T[ids] B^T with A ``(rank, rows)``, B ``(width, rank)``."""

from __future__ import annotations

import torch

from pytorch_impl import functional as F
from pytorch_impl.layers.wrapper import Wrapper

__all__ = ["LoRAEmbedding", "build"]


class LoRAEmbedding(Wrapper):
    """``(...)`` ids to ``(..., width)``. No dropout, as in PEFT."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The looked-up rows and their update."""
        y = self.base_layer(ids)
        if not self.active:
            return y
        low = F.embedding(ids, self.lora_embedding_A.T) * self.edit.arguments.scaling
        return y + F.linear(low.to(y.dtype), self.lora_embedding_B.to(y.dtype))


build = LoRAEmbedding
