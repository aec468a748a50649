"""Mirrors pytorch_impl.tasks.regression."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn

from mindspore_impl import functional as F

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the squared errors of the scored rows, in float32, and the predictions ``(batch, 1)``."""
    predictions = network.logits(inputs)
    errors = F.reshape(predictions, (-1,)).astype(ms.float32) - inputs["labels"]
    errors = errors * inputs["scored"].astype(ms.float32)
    return (errors * errors).sum(), predictions
