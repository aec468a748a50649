"""Mirrors pytorch_impl.layers.attention; differs: the probabilities are kept for a backward pass written by hand, and
heads are split here.
 Like `fused` it is only for steps that are compiled together with their gradient, or not at all; the composed way,
`hand_written` False, is for any.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from mindspore_impl.fused import spread
from mindspore_impl.layers.dropout import Dropout, factors

__all__ = ["attention"]

_product, _left, _right = ops.BatchMatMul(), ops.BatchMatMul(transpose_a=True), ops.BatchMatMul(transpose_b=True)
_sum, _zeros, _tile = ops.ReduceSum(keep_dims=True), ops.ZerosLike(), ops.Tile()


class _Attention(nn.Cell):
    def __init__(self, scale: float, dropout: Dropout, scored: bool = False):
        super().__init__(auto_prefix=False)
        self.scale, self.dropout, self.dropped = scale, dropout, dropout.training and dropout.p > 0.0
        self.scored = scored  # whether the mask holds scores that have a gradient

    def construct(self, query, key, value, mask, dropout_key):
        scaled = query * self.scale
        probabilities = ops.softmax(_right(scaled, key) + mask, -1)  # (batch, heads, queries, seq)
        dropped, kept = probabilities, mask
        if self.dropped:
            kept = factors(self.dropout, mask.shape, dropout_key)
            dropped = probabilities * kept
        return _product(dropped, value), scaled, probabilities, dropped, kept

    def bprop(self, query, key, value, mask, dropout_key, out, dout):
        mixed, scaled, probabilities, dropped, kept = out
        g = dout[0]
        grad_probabilities = _right(g, value)
        if self.dropped:
            grad_probabilities = grad_probabilities * kept
        inner = spread(
            ops.reshape(_sum(g * mixed, -1), (-1, 1)), key.shape[2]
        )  # the sum over the keys of probability times its gradient
        grad_scores = probabilities * (grad_probabilities - ops.reshape(inner, probabilities.shape))
        return (
            _product(grad_scores, key) * self.scale,
            _left(grad_scores, scaled),
            _left(dropped, g),
            grad_scores if self.scored else _zeros(mask),
            _zeros(dropout_key),
        )


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float, dropout: Dropout, hand_written: bool = True
) -> Tensor:
    """softmax(q k^T scale + mask) v, per head. ``mask`` is of the full shape ``(batch, heads, queries, seq)``.

    Groups of heads that share keys and values, ``(batch, pairs, seq, width)``, are the queries of one head: nothing is
    copied, and the order of the probabilities, which dropout counts, stays.
    """
    pairs, heads = key.shape[1], query.shape[1]
    if pairs < heads:
        batch, _, queries, width = query.shape
        rows, length = heads // pairs * queries, key.shape[2]
        query, mask = ops.reshape(query, (batch, pairs, rows, width)), ops.reshape(mask, (batch, pairs, rows, length))
        mixed = attention(query, key, value, mask, scale, dropout, hand_written)
        return ops.reshape(mixed, (batch, heads, queries, width))

    return _attend(query, key, value, mask, scale, dropout, hand_written, False)


def _attend(query, key, value, mask, scale, dropout, hand_written, scored):
    if hand_written:
        cell = _Attention(scale, dropout, scored)
        return cell(query, key, value, mask, mask if dropout.key is None else dropout.key)[0]
    kept = dropout.mask(mask.shape)
    # The fused softmax is several times faster than F.softmax, from which it differs where a row holds nothing but
    # -infinity: here are none.
    probabilities = ops.softmax(_right(query * scale, key) + mask, -1)
    return _product(probabilities if kept is None else probabilities * kept, value)


# What follows has no counterpart: on the PyTorch side it is inside `transformers`.


def scored_attention(query, key, value, scores, scale, dropout, hand_written=True):
    """`attention` whose ``mask`` is made of scores as well, ``(batch, heads, queries, seq)``, and has a gradient."""
    return _attend(query, key, value, scores, scale, dropout, hand_written, True)


def behind(states: Tensor, x: Tensor) -> Tensor:
    """Keys or values ``x`` ``(batch, heads, seq, width)`` behind those of every row, ``(heads, tokens, width)``."""
    return ops.concat((_tile(ops.expand_dims(states, 0), (x.shape[0], 1, 1, 1)), x), 2)


@ops.constexpr
def _exchanged(batch: int, first: int, second: int) -> Tensor:
    """Where the rows of (batch, second, first) are in (batch, first, second)."""
    return Tensor(
        np.arange(batch * first * second, dtype=np.int32).reshape(batch, first, second).transpose(0, 2, 1).reshape(-1)
    )


class _Exchange(nn.Cell):
    """Rows of (batch, first, second) in the order (batch, second, first): a gather, in both directions."""

    def __init__(self, batch: int, first: int, second: int):
        super().__init__()
        self.sizes = (batch, first, second)

    def construct(self, rows):
        batch, first, second = self.sizes
        return ops.gather(rows, _exchanged(batch, first, second), 0)

    def bprop(self, rows, out, dout):
        batch, first, second = self.sizes
        return (ops.gather(dout, _exchanged(batch, second, first), 0),)


def split_heads(x: Tensor, batch: int, heads: int) -> Tensor:
    """``(batch * length, hidden)`` to ``(batch, heads, length, width)``."""
    length, width = x.shape[0] // batch, x.shape[1] // heads
    return ops.reshape(_Exchange(batch, length, heads)(ops.reshape(x, (-1, width))), (batch, heads, length, width))


def join_heads(x: Tensor) -> Tensor:
    """Inverse of `split_heads`."""
    batch, heads, length, width = x.shape
    return ops.reshape(_Exchange(batch, heads, length)(ops.reshape(x, (-1, width))), (batch * length, heads * width))
