"""Mirrors pytorch_impl.layers.crf; differs: a sum over all sequences is a product of one matrix for each position,
``exp(transitions + logits[t])``, and matrix products may be taken in any order: neighbours are multiplied first, then
neighbouring products. A graph thus has log2(length) products (as in Rush 2020) instead of one step for each position,
which would be compiled for every length. After each product the largest entry is taken out and its logarithm kept.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.backend.batch import IGNORE
from mindspore_impl import functional as F
from mindspore_impl.layers.modules import parameter

__all__ = ["Chain", "log_sum"]

_FORBIDDEN = -1e30  # exp of it is 0, whatever is added


@ops.constexpr
def _identity(tags: int) -> Tensor:
    return Tensor(np.eye(tags, dtype=np.float32))


class Chain(nn.Cell):
    """Scores ``transitions`` (from, to), ``start`` and ``end`` of ``outputs`` tags."""

    def __init__(self, outputs: int):
        super().__init__()
        self.transitions: Parameter = parameter("transitions", outputs, outputs)
        self.start: Parameter = parameter("start", outputs)
        self.end: Parameter = parameter("end", outputs)

    def construct(self, logits, labels, words):
        """Sum of the losses of all sentences, of logits ``(batch, seq, tags)``, labels and words ``(batch, seq)``."""
        batch, length, tags = logits.shape
        wanted = F.reshape(ops.tile(F.reshape(labels, (-1, 1)), (1, tags)), logits.shape)
        offered = F.reshape(ops.tile(F.reshape(F.arange(tags), (1, tags)), (batch * length, 1)), logits.shape)
        fits = ops.logical_or(wanted == IGNORE, wanted == offered.astype(wanted.dtype)).astype(logits.dtype)
        known = logits * fits + (1.0 - fits) * _FORBIDDEN
        both = log_sum(ops.cat((logits, known)), ops.cat((words, words)), self.transitions, self.start, self.end)
        return (both[:batch] - both[batch:]).sum()

    def scores(self, batch):
        """What a decoder needs: ``(batch, tags + 2, tags)``, the same for each row: transitions, start, end."""
        whole = ops.cat((self.transitions, ops.expand_dims(self.start, 0), ops.expand_dims(self.end, 0)))
        return ops.tile(ops.expand_dims(whole, 0), (batch, 1, 1))


def log_sum(logits, words, transitions, start, end):
    """``(batch,)``: the logarithm of the sum of exp(score) over all sequences of tags; see `Chain`."""
    batch, length, tags = logits.shape
    there = (words >= 0).astype(ms.int32)
    first = there * (ops.cumsum(there, 1) == 1).astype(ms.int32)
    top = ops.stop_gradient(ops.maximum(transitions.max(), start.max()))
    of_start = ops.tile(F.reshape(ops.exp(start - top), (1, tags)), (tags, 1))
    kinds = ops.stack((ops.exp(transitions - top), of_start, _identity(tags)))
    which = ops.stack((there - first, first, 1 - there), 2).astype(logits.dtype)
    peaks = ops.stop_gradient(ops.amax(logits, 2))
    real = F.reshape(there.astype(logits.dtype), (-1, 1))
    spread = ops.tile(F.reshape(peaks, (-1, 1)), (1, tags))
    shares = ops.exp((F.reshape(logits, (-1, tags)) - spread) * ops.tile(real, (1, tags)))
    matrices = ops.matmul(F.reshape(which, (-1, 3)), F.reshape(kinds, (3, tags * tags)))
    products = F.reshape(matrices * ops.tile(shares, (1, tags)), (batch, length, tags, tags))
    scale = ((peaks + top) * there.astype(logits.dtype)).sum(1)
    one = ops.tile(F.reshape(_identity(tags), (1, 1, tags, tags)), (batch, 1, 1, 1))
    while length > 1:
        if length % 2 == 1:
            products = ops.cat((products, one), 1)
        length = (length + 1) // 2
        left, right = ops.split(F.reshape(products, (batch * length, 2, tags, tags)), 1, 1)
        rows = F.reshape(ops.bmm(ops.squeeze(left, 1), ops.squeeze(right, 1)), (batch * length, tags * tags))
        peaks = ops.stop_gradient(ops.amax(rows, 1, True))
        products = F.reshape(rows / ops.tile(peaks, (1, tags * tags)), (batch, length, tags, tags))
        scale = scale + F.reshape(ops.log(peaks), (batch, length)).sum(1)
    last = ops.stop_gradient(end.max())
    ends = ops.tile(F.reshape(ops.exp(end - last), (1, tags)), (batch, 1))
    return ops.log((products[:, 0, 0] * ends).sum(1)) + last + scale
