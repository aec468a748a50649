"""Mirrors pytorch_impl.tasks.masked_language_modeling; differs: shapes are fixed in a graph, so that every position is
computed, in pieces; the loss without logits is for a frozen weight and bias."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn

from common.models.family import EACH
from mindspore_impl import functional as F
from mindspore_impl.layers.loss import token_loss_sum, token_scores

__all__ = ["loss", "of_states"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the number of right predictions ``(batch,)``, which a step that is
    ``differentiable`` does not compute."""
    return of_states(network, network.encode(inputs, EACH), inputs, differentiable)


def of_states(
    network: nn.Cell, states: Tensor, inputs: Mapping[str, Tensor], differentiable: bool
) -> tuple[Tensor, ...]:
    """`loss`, from the hidden states of every position."""
    batch, length = inputs["labels"].shape
    labels = F.reshape(inputs["labels"], (-1,))
    weight, bias, trained = network.last_product()
    states = network.features(states)
    if differentiable:
        return (token_loss_sum(states, weight, labels, not trained and "loss" not in network.plain, bias),)
    loss_sum, right = token_scores(states, weight, labels, bias)
    return loss_sum, F.reshape(right, (batch, length)).astype(ms.float32).sum(-1)
