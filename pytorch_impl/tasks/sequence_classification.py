"""Cross-entropy over classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pytorch_impl import functional as F

__all__ = ["loss", "of_logits"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the logits ``(batch, labels)``."""
    logits = network.logits(inputs)
    return of_logits(logits, inputs), logits


def of_logits(logits: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Sum of the cross-entropy over the targets, from the logits ``(batch, labels)``."""
    return F.cross_entropy_sum(logits, inputs["labels"])
