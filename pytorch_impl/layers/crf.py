"""A linear-chain conditional random field over the outputs of a head (Lafferty et al. 2001; Lample et al. 2016).

A sequence of tags y has the score  start[y_1] + sum_t logits[t, y_t] + sum_t transitions[y_(t-1), y_t] + end[y_n],  and
the loss of a sentence is the logarithm of the sum of exp(score) over all sequences, minus that over those that agree
with the known tags. A word without a tag agrees with every tag, so that the sum is over what it may be.

Both sums are products of one matrix for each position, ``exp(transitions + logits[t])``, and matrix products may be
taken in any order: neighbours are multiplied first, then neighbouring products, so that there are log2(length) products
instead of one step after the other (as in Rush 2020). After each, the largest entry is taken out and its logarithm kept.
"""

from __future__ import annotations

import torch
from torch import nn

from common.backend.batch import IGNORE

__all__ = ["Chain", "log_sum"]

_FORBIDDEN = -1e30  # exp of it is 0, whatever is added


class Chain(nn.Module):
    """Scores ``transitions`` (from, to), ``start`` and ``end`` of ``outputs`` tags."""

    def __init__(self, outputs: int):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(outputs, outputs))
        self.start = nn.Parameter(torch.zeros(outputs))
        self.end = nn.Parameter(torch.zeros(outputs))

    def forward(self, logits: torch.Tensor, labels: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Sum of the losses of all sentences.

        Args:
            logits: ``(batch, seq, tags)``.
            labels: ``(batch, seq)``, IGNORE where no tag is known.
            words: ``(batch, seq)``, the number of the word that begins there, below 0 where none does: such positions
                are left out of the chain.
        """
        tags = torch.arange(logits.shape[2], device=logits.device)
        fits = (labels[:, :, None] == IGNORE) | (labels[:, :, None] == tags)
        known = torch.where(fits, logits, torch.full_like(logits, _FORBIDDEN))
        both = log_sum(torch.cat([logits, known]), torch.cat([words, words]), self.transitions, self.start, self.end)
        return (both[: len(logits)] - both[len(logits) :]).sum()

    def scores(self, batch: int) -> torch.Tensor:
        """What a decoder needs: ``(batch, tags + 2, tags)``, the same for each row: transitions, start, end."""
        whole = torch.cat([self.transitions, self.start[None], self.end[None]])
        return whole[None].repeat(batch, 1, 1)


def log_sum(
    logits: torch.Tensor, words: torch.Tensor, transitions: torch.Tensor, start: torch.Tensor, end: torch.Tensor
) -> torch.Tensor:
    """``(batch,)``: the logarithm of the sum of exp(score) over all sequences of tags; see `Chain`."""
    batch, length, tags = logits.shape
    there = words >= 0
    first = there & (there.int().cumsum(1) == 1)
    top = torch.maximum(transitions.max(), start.max()).detach()
    one = torch.eye(tags, dtype=logits.dtype, device=logits.device)
    kinds = torch.stack([(transitions - top).exp(), (start - top).exp().repeat(tags, 1), one])
    which = torch.stack([there & ~first, first, ~there], 2).to(logits.dtype)
    peaks = logits.amax(2).detach()
    shares = torch.where(there[:, :, None], (logits - peaks[:, :, None]).exp(), torch.ones_like(logits))
    matrices = torch.matmul(which.reshape(-1, 3), kinds.reshape(3, -1))  # the one of each position, without its logits
    products = (matrices * shares.reshape(-1, tags).repeat(1, tags)).reshape(batch, length, tags, tags)
    scale = ((peaks + top) * there).sum(1)
    one = one.repeat(batch, 1, 1, 1)
    while length > 1:
        if length % 2:
            products = torch.cat([products, one], 1)
        length = (length + 1) // 2
        pairs = products.reshape(batch * length, 2, tags, tags)
        rows = torch.matmul(pairs[:, 0], pairs[:, 1]).reshape(batch * length, tags * tags)
        peaks = rows.amax(1, keepdim=True).detach()
        products = (rows / peaks).reshape(batch, length, tags, tags)
        scale = scale + peaks.log().reshape(batch, length).sum(1)
    last = end.max().detach()
    return (products[:, 0, 0] * (end - last).exp()).sum(1).log() + last + scale
