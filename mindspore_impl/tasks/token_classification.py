"""Mirrors pytorch_impl.tasks.token_classification."""

from __future__ import annotations

from collections.abc import Mapping

from mindspore import Tensor, nn

from mindspore_impl import functional as F

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the logits ``(batch, seq, labels)``."""
    logits = network.logits(inputs)
    return F.cross_entropy_sum(logits, inputs["labels"]), logits
