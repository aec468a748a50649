"""A linear-chain conditional random field over the outputs of a head (Lafferty et al. 2001; Lample et al. 2016).

A sequence of tags y has the score  start[y_1] + sum_t logits[t, y_t] + sum_t transitions[y_(t-1), y_t] + end[y_n],  and
the loss of a sentence is the logarithm of the sum of exp(score) over all sequences, minus that over those that agree
with the known tags. A word without a tag agrees with every tag, so that the sum is over what it may be.

Both sums are made from left to right: the forward algorithm.
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
    there = words >= 0
    begun = there.int().cumsum(1) > there.int()  # before this position
    total = torch.zeros_like(logits[:, 0])  # over all sequences that end in a tag
    for place in range(logits.shape[1]):
        reached = torch.logsumexp(total[:, :, None] + transitions, 1)
        step = torch.where(begun[:, place, None], reached, start) + logits[:, place]
        total = torch.where(there[:, place, None], step, total)
    return torch.logsumexp(total + end, 1)
