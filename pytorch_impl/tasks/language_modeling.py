"""Cross-entropy of the next token, without the logits where the head is one matrix product."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from common.models.family import EACH
from pytorch_impl import functional as F
from pytorch_impl.layers.loss import token_loss_sum

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the targets.

    Args:
        differentiable: False where no gradient will be asked for.
    """
    labels = inputs["labels"].flatten()
    weight = network.output_weight()
    if weight is None or "loss" in network.plain:
        return (F.cross_entropy_sum(network.logits(inputs).flatten(0, 1), labels),)
    hidden = network.encode(inputs, EACH)
    return (token_loss_sum(hidden.flatten(0, 1), weight, labels, differentiable),)
