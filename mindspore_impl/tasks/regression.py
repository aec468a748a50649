"""Mirrors pytorch_impl.tasks.regression."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn

from mindspore_impl import functional as F

__all__ = ["loss", "of_logits"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the squared errors of the scored rows, in float32, and the predictions ``(batch, 1)``."""
    predictions = network.logits(inputs)
    return of_logits(predictions, inputs), predictions


def of_logits(predictions: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Sum of the squared errors of the scored rows, from the predictions ``(batch, 1)``."""
    errors = F.reshape(predictions, (-1,)).astype(ms.float32) - inputs["labels"]
    errors = errors * inputs["scored"].astype(ms.float32)
    return (errors * errors).sum()
