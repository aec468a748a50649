"""Mirrors pytorch_impl.attention; differs: multi-head attention over two-dimensional hidden states, written out."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl import functional as F

__all__ = ["attend", "padding_mask"]

_scores = ops.BatchMatMul(transpose_b=True)
_mix = ops.BatchMatMul()
_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


def padding_mask(attention_mask: Tensor) -> Tensor:
    """``(batch, seq)`` of 1 and 0 to the additive float32 ``(batch, 1, 1, seq)``."""
    batch, length = attention_mask.shape
    return ops.stop_gradient(ops.reshape((1.0 - attention_mask.astype(ms.float32)) * _NEGATIVE, (batch, 1, 1, length)))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int, dropout: float, training: bool) -> Tensor:
    """softmax(q k^T / sqrt(d) + mask) v (Vaswani et al. 2017, eq. 1), per head.

    Args:
        query, key, value: ``(batch * seq, hidden)``.
        mask: additive, broadcastable to ``(batch, heads, seq, seq)``; its first and last sizes are batch and seq.

    Returns:
        ``(batch * seq, hidden)``.
    """
    batch, length = mask.shape[0], mask.shape[-1]
    hidden = query.shape[-1]
    width = hidden // heads
    query, key, value = (ops.transpose(ops.reshape(x, (batch, length, heads, width)), (0, 2, 1, 3)) for x in (query, key, value))
    probabilities = F.softmax(_scores(query * (1.0 / math.sqrt(width)), key) + mask)  # (batch, heads, seq, seq)
    mixed = _mix(F.dropout(probabilities, dropout, training), value)  # (batch, heads, seq, width)
    return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (batch * length, hidden))
