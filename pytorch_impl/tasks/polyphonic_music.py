"""Binary cross-entropy of every key of a frame."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from common.backend.batch import IGNORE
from pytorch_impl import functional as F

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum over the keys of all frames that have a target, and the logits ``(batch, seq, keys)``."""
    logits, labels = network.logits(inputs), inputs["labels"]
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    known = (labels != IGNORE).to(exact.dtype)
    losses = F.binary_cross_entropy_with_logits(exact, (labels == 1).to(exact.dtype), reduction="none")
    return (losses * known).sum(), logits
