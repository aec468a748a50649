"""Mirrors pytorch_impl.tasks.sequence_classification."""

from __future__ import annotations

from collections.abc import Mapping

from mindspore import Tensor, nn

from mindspore_impl import functional as F

__all__ = ["loss", "of_logits"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the logits ``(batch, labels)``."""
    logits = network.logits(inputs)
    return of_logits(logits, inputs), logits


def of_logits(logits: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Sum of the cross-entropy over the targets, from the logits ``(batch, labels)``."""
    return F.cross_entropy_sum(logits, inputs["labels"])
