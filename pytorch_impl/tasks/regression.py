"""Squared error."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["loss", "of_logits"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the squared errors of the scored rows, in float32 at least, and the predictions ``(batch, 1)``."""
    predictions = network.logits(inputs)
    return of_logits(predictions, inputs), predictions


def of_logits(predictions: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Sum of the squared errors of the scored rows, from the predictions ``(batch, 1)``."""
    exact = torch.promote_types(predictions.dtype, torch.float32)
    errors = (predictions[:, 0].to(exact) - inputs["labels"]) * inputs["scored"]
    return (errors * errors).sum()
