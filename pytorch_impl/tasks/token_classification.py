"""Cross-entropy over the tags of words."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pytorch_impl import functional as F

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the logits ``(batch, seq, labels)``."""
    logits = network.logits(inputs)
    return F.cross_entropy_sum(logits, inputs["labels"]), logits
