"""Mirrors pytorch_impl.layers.sampling."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl import functional as F
from mindspore_impl.layers.loss import PIECE

__all__ = ["sampled"]

_logits = ops.MatMul(transpose_b=True)
_bias_add = ops.BiasAdd()
_max = ops.ReduceMax(keep_dims=True)


def sampled(states: Tensor, weight: Tensor, bias: Tensor | None, uniforms: Tensor) -> Tensor:
    """Of every row the first token k with exp(z_0) + ... + exp(z_k) > u (exp(z_0) + ... + exp(z_last)), the sums in
    float64, where z = W h + b: a sample of softmax(z). Without a gradient.

    Args:
        states: ``(rows, hidden)``.
        weight: ``(vocabulary, hidden)``.
        bias: ``(vocabulary,)``.
        uniforms: u in [0, 1), ``(rows,)``.

    Returns:
        ``(rows,)`` int32.
    """
    rows, words = states.shape[0], weight.shape[0]
    piece = max(1, PIECE // 4 // words)
    states, weight = ops.stop_gradient(states), ops.stop_gradient(weight)
    found = ()
    for start in range(0, rows, piece):
        stop = min(start + piece, rows)
        logits = _logits(states[start:stop], weight)
        if bias is not None:
            logits = _bias_add(logits, ops.stop_gradient(bias))
        logits = logits.astype(ms.float64)
        sums = ops.cumsum(ops.exp(logits - ops.tile(_max(logits, 1), (1, words))), 1)
        least = F.reshape(uniforms[start:stop].astype(ms.float64), (-1, 1)) * sums[:, words - 1 :]
        found = (*found, (sums <= ops.tile(least, (1, words))).astype(ms.int32).sum(1).astype(ms.int32))
    whole = ops.concat(found, 0) if len(found) > 1 else found[0]
    return ops.stop_gradient(ops.minimum(whole, words - 1))
