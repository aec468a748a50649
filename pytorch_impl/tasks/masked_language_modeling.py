"""Cross-entropy of hidden tokens, at their positions alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from common.backend import IGNORE
from common.models.family import EACH
from pytorch_impl import functional as F
from pytorch_impl.layers.loss import token_loss_sum, token_scores

__all__ = ["loss", "of_states"]

_ROWS = 64  #: numbers of rows are rounded up to it: oneDNN keeps memory for each different number


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the cross-entropy over the targets, and the number of right predictions ``(batch,)``, which a step that is
    ``differentiable`` does not compute."""
    return of_states(network, network.encode(inputs, EACH), inputs, differentiable)


def of_states(
    network: nn.Module, states: torch.Tensor, inputs: Mapping[str, torch.Tensor], differentiable: bool
) -> tuple[torch.Tensor, ...]:
    """`loss`, from the hidden states of every position."""
    labels = inputs["labels"]
    product = network.last_product()
    if product is None or "loss" in network.plain:
        logits = network.head(states)
        return F.cross_entropy_sum(logits, labels), (logits.argmax(-1) == labels).float().sum(-1)
    rows, targets = _targets(labels.flatten())
    states = network.features(states.flatten(0, 1)[rows])
    weight, bias = product
    if differentiable:
        return (token_loss_sum(states, weight, targets, True, bias),)
    loss_sum, right = token_scores(states, weight, targets, bias)
    return loss_sum, right.new_zeros(len(labels)).index_add_(0, rows // labels.shape[1], right)


def _targets(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of the targets among the ``(tokens,)`` labels and their labels; filled up with the first position,
    ignored."""
    scored = (labels >= 0).nonzero().squeeze(1)
    room = -(-max(len(scored), 1) // _ROWS) * _ROWS
    rows, targets = scored.new_zeros(room), labels.new_full((room,), IGNORE)
    rows[: len(scored)], targets[: len(scored)] = scored, labels[scored]
    return rows, targets
