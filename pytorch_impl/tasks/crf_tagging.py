"""Negative log-likelihood of the tags of a sentence, taken as one chain."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum over the sentences, the logits ``(batch, seq, labels)``, and the scores of the chain ``(batch, labels + 2,
    labels)``."""
    logits = network.logits(inputs)
    chain = network.chain
    return chain(logits, inputs["labels"], inputs["words"]), logits, chain.scores(logits.shape[0])
