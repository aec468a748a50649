"""Mirrors pytorch_impl.tasks.multi_label_classification."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn

from mindspore_impl import functional as F

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the binary cross-entropy over the labels of the scored rows, in float32, and the logits
    ``(batch, labels)``."""
    logits = network.logits(inputs)
    losses = F.binary_cross_entropy_with_logits(logits.astype(ms.float32), inputs["labels"], reduction="none")
    return (losses * F.reshape(inputs["scored"], (-1, 1)).astype(ms.float32)).sum(), logits
