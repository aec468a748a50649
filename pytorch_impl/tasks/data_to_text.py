"""Cross-entropy of the next token with smoothed labels (Szegedy et al. 2016).

With e the share that is spread over the vocabulary, the loss of a position is
(1 - e) (-log p_y) + e mean_v(-log p_v) = -log p_y + e (z_y - mean_v z_v), and the mean of the logits z = W h is h times
the mean row of W, so that smoothing costs one more product of vectors.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pytorch_impl import functional as F
from pytorch_impl.layers.loss import token_loss_sum

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the targets; labels are smoothed where ``differentiable`` alone."""
    labels = inputs["labels"].flatten()
    smoothing = _shares(inputs) if differentiable and "smoothing" in inputs else None
    weight = network.output_weight()
    if weight is None or "loss" in network.plain:
        logits = network.logits(inputs).flatten(0, 1)
        plain = F.cross_entropy_sum(logits, labels)
        if smoothing is None:
            return (plain,)
        logits = logits.to(plain.dtype)
        chosen = logits.gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
        return (plain + (smoothing * (chosen - logits.mean(1))).sum(),)
    hidden = network.encode(inputs, network.layout.position).flatten(0, 1)
    plain = token_loss_sum(hidden, weight, labels, differentiable)
    if smoothing is None:
        return (plain,)
    apart = torch.nn.functional.embedding(labels.clamp(min=0), weight) - weight.mean(0)
    return (plain + (smoothing * (hidden * apart).sum(1)).sum(),)


def _shares(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The share of every position ``(tokens,)``, 0 where there is no target."""
    return (inputs["smoothing"][:, None] * (inputs["labels"] >= 0)).flatten()
