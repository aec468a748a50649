"""Mirrors pytorch_impl.tasks.sequence_classification."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F

__all__ = ["loss", "of_logits"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the logits ``(batch, labels)``; of a step that is
    ``differentiable`` with the options of training, see `common.tasks.sequence_classification`."""
    logits = network.logits(inputs)
    return of_logits(logits, inputs) if differentiable else F.cross_entropy_sum(logits, inputs["labels"]), logits


def of_logits(logits: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Training's sum of the cross-entropy over the targets, from the logits ``(batch, labels)``."""
    labels = inputs["labels"]
    if "sharpness" in inputs:
        logits = logits * F.reshape(inputs["sharpness"], (-1, 1))
    plain = F.cross_entropy_sum(logits, labels)
    if "smoothing" not in inputs:
        return plain
    real = labels >= 0
    chosen = F.reshape(ops.gather_elements(logits, 1, F.reshape(labels * real.astype(labels.dtype), (-1, 1))), (-1,))
    shares = inputs["smoothing"] * real.astype(ms.float32)
    return plain + (shares * (chosen - logits.mean(1))).sum()
