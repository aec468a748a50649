"""Log-likelihoods of classes under Gaussian naive Bayes.

Converted to MindSpore by scripts/convert_models.py.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Output"]

_LEAST = 1e-6  # of a variance


class Output(nn.Module):
    """log p(c) + sum over the features of log N(x; mean_c, v_c), ``(batch, in)`` to ``(batch, out)``.

    The variance v is the magnitude of the weight ``(out, in)`` and at least 1e-6, so that its logarithm exists; log p
    is the log-softmax of the bias ``(out,)``.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(out_features, in_features))
        self.mean = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A logit for each class."""
        variance = torch.abs(self.weight) + _LEAST
        distance = x.unsqueeze(1) - self.mean  # (batch, out, in)
        densities = -0.5 * torch.log(2.0 * math.pi * variance) - distance * distance / (2.0 * variance)
        return densities.sum(2) + F.log_softmax(self.bias, dim=0)
