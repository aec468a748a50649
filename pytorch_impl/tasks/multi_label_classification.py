"""Binary cross-entropy of every label."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pytorch_impl import functional as F

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the binary cross-entropy over the labels of the scored rows, in float32 at least, and the logits
    ``(batch, labels)``."""
    logits = network.logits(inputs)
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.binary_cross_entropy_with_logits(exact, inputs["labels"], reduction="none")
    return (losses * inputs["scored"][:, None]).sum(), logits
