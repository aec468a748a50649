"""Mirrors pytorch_impl.tasks.language_modeling; differs: the loss without logits is for a frozen weight."""

from __future__ import annotations

from collections.abc import Mapping

from mindspore import Tensor, nn

from common.models.family import EACH
from mindspore_impl import functional as F
from mindspore_impl.layers.loss import token_loss_sum

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the targets."""
    labels = F.reshape(inputs["labels"], (-1,))
    if not network.fused_loss:
        logits = network.logits(inputs)
        return (F.cross_entropy_sum(F.reshape(logits, (-1, logits.shape[-1])), labels),)
    hidden = network.encode(inputs, EACH)
    frozen = differentiable and not network.tied.trained and "loss" not in network.plain
    return (token_loss_sum(hidden, network.tied.weight, labels, frozen),)
