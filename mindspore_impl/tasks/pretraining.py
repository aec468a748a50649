"""Mirrors pytorch_impl.tasks.pretraining."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn, ops

from common.models.family import EACH
from mindspore_impl import functional as F
from mindspore_impl.tasks.masked_language_modeling import of_states

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum over the hidden tokens, plus that over the pairs, each times its row's ``scale``; right predictions of tokens,
    right predictions and loss of pairs, each ``(batch,)``, which a step that is ``differentiable`` does not compute."""
    batch, length = inputs["labels"].shape
    states = network.encode(inputs, EACH)
    found = of_states(network, states, inputs, differentiable)
    scores = network.second(F.reshape(states, (batch, length, -1))[:, 0])  # (batch, 2)
    labels = inputs["next_sentence_label"]
    real = (labels >= 0).astype(ms.float32)
    second = (labels == 1).astype(ms.float32)
    shares = F.log_softmax(scores, -1)
    following = -(shares[:, 1] * second + shares[:, 0] * (1.0 - second)) * real
    total = found[0] + (following * inputs["scale"]).sum()
    if differentiable:
        return (total,)
    right = (ops.argmax(scores, 1).astype(ms.int32) == labels).astype(ms.float32)
    return total, found[1], right * real, following
