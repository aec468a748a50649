"""Mirrors pytorch_impl.tasks.replaced_token_detection; differs: positions are looked up in tables of rows, and the loss
without logits is for a frozen weight and bias."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn, ops

from common.backend import IGNORE
from common.models.family import EACH
from mindspore_impl import functional as F
from mindspore_impl.layers.loss import token_loss_sum, token_scores
from mindspore_impl.layers.sampling import sampled

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum of the generator's cross-entropy over the hidden tokens, plus that of the discriminator over the real tokens,
    each times its row's ``scale``; and the generator's right predictions ``(batch,)``, logits of "replaced" and what was
    replaced, both ``(batch, seq)``, which a step that is ``differentiable`` does not compute."""
    ids, labels, positions = inputs["input_ids"], inputs["labels"], inputs["positions"]
    (batch, length), slots = ids.shape, positions.shape[1]
    generator = network.companion
    rows = F.reshape(F.arange(batch).astype(ms.int32), (batch, 1))
    places = F.reshape(ops.tile(rows * length, (1, slots)) + ops.maximum(positions, 0), (-1,))
    states = generator.features(F.index_select(generator.encode(inputs, EACH), 0, places))  # (batch * slots, hidden)
    there = F.reshape((positions >= 0).astype(ms.int32), (-1,))
    targets = ops.gather(F.reshape(labels, (-1,)), places, 0) * there + IGNORE * (1 - there)
    weight, bias, trained = generator.last_product()
    chosen = sampled(states, weight, bias, F.reshape(inputs["uniforms"], (-1,)))

    masked = (labels >= 0).astype(ms.int32)
    numbers = ops.clamp(F.cumsum(masked, 1).astype(ms.int32) - 1, 0, slots - 1)  # of a hidden token in its row
    looked_up = F.reshape(numbers + ops.tile(rows * slots, (1, length)), (-1,))
    shown = F.reshape(ops.gather(chosen, looked_up, 0), (batch, length)) * masked + ids * (1 - masked)
    replaced = (shown != labels * masked + ids * (1 - masked)).astype(ms.float32)
    logits = F.reshape(network.head(network.encode(network.with_ids(inputs, shown), EACH)), (batch, length))
    scored = (masked.sum(1) > 0).astype(ms.float32)  # rows that hold an example
    losses = F.binary_cross_entropy_with_logits(logits, replaced, reduction="none")
    each = losses * inputs["attention_mask"].astype(ms.float32)
    detection = (each.sum(1) * scored * inputs["scale"]).sum()
    if differentiable:
        fast = not trained and "loss" not in network.plain
        return (token_loss_sum(states, weight, targets, fast, bias) + detection,)
    loss_sum, right = token_scores(states, weight, targets, bias)
    return loss_sum + detection, F.reshape(right, (batch, slots)).astype(ms.float32).sum(1), logits, replaced
