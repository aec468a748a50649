"""Mirrors pytorch_impl.tasks.data_to_text; differs: the loss without logits is for a frozen weight."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn, ops

from mindspore_impl import functional as F
from mindspore_impl.layers.loss import token_loss_sum

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the cross-entropy over the targets; labels are smoothed where ``differentiable`` alone."""
    labels = F.reshape(inputs["labels"], (-1,))
    smoothed = differentiable and "smoothing" in inputs
    if not network.fused_loss:
        logits = network.logits(inputs)
        logits = F.reshape(logits, (-1, logits.shape[-1]))
        plain = F.cross_entropy_sum(logits, labels)
        if not smoothed:
            return (plain,)
        chosen = ops.gather_elements(logits, 1, F.reshape(_present(labels), (-1, 1)))
        return (plain + (_shares(inputs) * (F.reshape(chosen, (-1,)) - logits.mean(1))).sum(),)
    hidden, weight = network.encode(inputs, network.position), network.tied.weight
    frozen = differentiable and not network.tied.trained and "loss" not in network.plain
    plain = token_loss_sum(hidden, weight, labels, frozen)
    if not smoothed:
        return (plain,)
    apart = ops.gather(weight, _present(labels), 0) - weight.mean(0)
    return (plain + (_shares(inputs) * (hidden * apart).sum(1)).sum(),)


def _present(labels):
    """Labels with 0 where there is no target."""
    return labels * (labels >= 0).astype(labels.dtype)


def _shares(inputs):
    """The share of every position ``(tokens,)``, 0 where there is no target."""
    scored = (inputs["labels"] >= 0).astype(ms.float32)
    return F.reshape(F.reshape(inputs["smoothing"], (-1, 1)) * scored, (-1,))
