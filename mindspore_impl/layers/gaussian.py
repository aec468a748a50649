"""Mirrors pytorch_impl.layers.gaussian; made of it by scripts/convert_models.py."""

from __future__ import annotations

import math

import mindspore as ms

from mindspore_impl import functional as F

__all__ = ["Output"]

_LEAST = 1e-6  # of a variance


class Output(ms.nn.Cell):
    """log p(c) + sum over the features of log N(x; mean_c, v_c), ``(batch, in)`` to ``(batch, out)``.

    The variance v is the magnitude of the weight ``(out, in)`` and at least 1e-6, so that its logarithm exists; log p
    is the log-softmax of the bias ``(out,)``.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.set_train()  # as torch's modules start
        self.weight = ms.Parameter(F.ones(out_features, in_features))
        self.mean = ms.Parameter(F.zeros(out_features, in_features))
        self.bias = ms.Parameter(F.zeros(out_features))

    def construct(self, x: ms.Tensor) -> ms.Tensor:
        """A logit for each class."""
        variance = F.abs(self.weight) + _LEAST
        distance = x.unsqueeze(1) - self.mean  # (batch, out, in)
        densities = -0.5 * F.log(2.0 * math.pi * variance) - distance * distance / (2.0 * variance)
        return F.sum(densities, 2) + F.log_softmax(self.bias, dim=0)
