"""Mirrors pytorch_impl.tasks.crf_tagging."""

from __future__ import annotations

from collections.abc import Mapping

from mindspore import Tensor, nn

__all__ = ["loss"]


def loss(network: nn.Cell, inputs: Mapping[str, Tensor], differentiable: bool = True) -> tuple[Tensor, ...]:
    """Sum over the sentences, the logits ``(batch, seq, labels)``, and the scores of the chain ``(batch, labels + 2,
    labels)``."""
    logits = network.logits(inputs)
    chain = network.chain
    return chain(logits, inputs["labels"], inputs["words"]), logits, chain.scores(logits.shape[0])
