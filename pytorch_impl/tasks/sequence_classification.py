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
    """Sum of the cross-entropy over the targets, and the logits ``(batch, labels)``; of a step that is
    ``differentiable`` with the options of training, see `common.tasks.sequence_classification`."""
    logits = network.logits(inputs)
    return of_logits(logits, inputs) if differentiable else F.cross_entropy_sum(logits, inputs["labels"]), logits


def of_logits(logits: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Training's sum of the cross-entropy over the targets, from the logits ``(batch, labels)``."""
    labels = inputs["labels"]
    if "sharpness" in inputs:
        logits = logits * inputs["sharpness"][:, None]
    plain = F.cross_entropy_sum(logits, labels)
    if "smoothing" not in inputs:
        return plain
    logits = logits.to(plain.dtype)
    chosen = logits.gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
    shares = inputs["smoothing"] * (labels >= 0)
    return plain + (shares * (chosen - logits.mean(1))).sum()
