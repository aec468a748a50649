"""Sampling a token by the inverse of the cumulative distribution, so that two backends choose the same."""

from __future__ import annotations

import torch

from pytorch_impl.layers.loss import PIECE

__all__ = ["sampled"]


@torch.no_grad()
def sampled(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, uniforms: torch.Tensor
) -> torch.Tensor:
    """Of every row the first token k with exp(z_0) + ... + exp(z_k) > u (exp(z_0) + ... + exp(z_last)), the sums in
    float64, where z = W h + b: a sample of softmax(z). Without a gradient.

    Args:
        states: ``(rows, hidden)``.
        weight: ``(vocabulary, hidden)``.
        bias: ``(vocabulary,)``.
        uniforms: u in [0, 1), ``(rows,)``.

    Returns:
        ``(rows,)`` int64.
    """
    found = []
    piece = max(1, PIECE // 4 // len(weight))
    for part, chosen in zip(states.split(piece), uniforms.split(piece), strict=True):
        logits = torch.nn.functional.linear(part, weight, bias).double()
        sums = (logits - logits.amax(1, keepdim=True)).exp_().cumsum(1)
        found.append((sums <= chosen.double()[:, None] * sums[:, -1:]).sum(1))
    return torch.cat(found).clamp_(max=len(weight) - 1)
