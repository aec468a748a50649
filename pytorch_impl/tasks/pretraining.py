"""Cross-entropy of hidden tokens and of pairs of segments."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from common.models.family import EACH
from pytorch_impl import functional as F
from pytorch_impl.tasks.masked_language_modeling import of_states

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum over the hidden tokens, plus that over the pairs, each times its row's ``scale``; right predictions of tokens,
    right predictions and loss of pairs, each ``(batch,)``, which a step that is ``differentiable`` does not compute."""
    states = network.encode(inputs, EACH)
    masked, *right = of_states(network, states, inputs, differentiable)
    scores = network.second(states[:, 0]).to(masked.dtype)  # (batch, 2)
    labels = inputs["next_sentence_label"]
    real = (labels >= 0).to(scores.dtype)
    shares = F.log_softmax(scores, -1)
    following = -torch.where(labels == 1, shares[:, 1], shares[:, 0]) * real
    total = masked + (following * inputs["scale"]).sum()
    if differentiable:
        return (total,)
    return total, *right, (scores.argmax(-1) == labels).to(scores.dtype) * real, following
