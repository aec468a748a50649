"""Mirrors pytorch_impl.layers.disentangled; differs: it keeps the source's weight, since graphs read parameters alone."""

from __future__ import annotations

from mindspore import nn, ops

from mindspore_impl import functional as F

__all__ = ["Disentangled"]


class Disentangled(nn.Cell):
    """Rows of ``source``, of which no gradient flows back, plus rows of its own weight, the difference.

    Args:
        embedding: whose weight, path and padding it takes over.
        source: the embedding that is added to.
    """

    def __init__(self, embedding: nn.Cell, source: nn.Cell):
        super().__init__(auto_prefix=False)
        self.path, self.padding, self.trained = embedding.path, embedding.padding, False
        self.weight, self.source = embedding.weight, source.weight

    def construct(self, ids):
        own = F.embedding(ids, self.weight, self.padding if self.trained else None)
        return own + ops.stop_gradient(F.embedding(ids, self.source, None))
