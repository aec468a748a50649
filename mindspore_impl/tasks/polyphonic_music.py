"""Mirrors pytorch_impl.tasks.polyphonic_music."""

from __future__ import annotations

from collections.abc import Mapping

import mindspore as ms
from mindspore import Tensor, nn

from common.backend.batch import IGNORE
from mindspore_impl import functional as F

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum over the keys of all frames that have a target, and the logits ``(batch, seq, keys)``."""
    logits, labels = network.logits(inputs), inputs["labels"]
    known = (labels != IGNORE).astype(ms.float32)
    truth = (labels == 1).astype(ms.float32)
    losses = F.binary_cross_entropy_with_logits(logits.astype(ms.float32), truth, reduction="none")
    return (losses * known).sum(), logits
