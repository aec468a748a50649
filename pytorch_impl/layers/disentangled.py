"""Embeddings that are another table plus a difference (He et al. 2023, gradient-disentangled embedding sharing)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Disentangled"]


class Disentangled(nn.Embedding):
    """Rows of ``source``, of which no gradient flows back, plus rows of its own weight, the difference.

    Args:
        embedding: whose weight and padding it takes over.
        source: the embedding that is added to.
    """

    def __init__(self, embedding: nn.Embedding, source: nn.Embedding):
        super().__init__(1, 1, padding_idx=0)
        self.num_embeddings, self.embedding_dim = embedding.num_embeddings, embedding.embedding_dim
        self.weight, self.padding_idx = embedding.weight, embedding.padding_idx
        self._source = (source,)  # no module of this one: its parameters are listed where it stands

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids ``(...)`` to ``(..., width)``."""
        return super().forward(ids) + functional.embedding(ids, self._source[0].weight.detach())
