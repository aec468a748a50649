"""Mirrors pytorch_impl.fused; differs: both have a hand-written backward pass, which is faster than the one that autograd composes.

**Only for steps that are compiled together with their gradient, or not at all.** MindSpore 2.10 computes wrong gradients where a cell with a `bprop` is
called more than once in a compiled forward pass and the gradient is taken outside of it. `mindspore_impl.functional` has the same functions without.

Nothing here broadcasts. A CPU kernel of a graph keeps 16 bytes for each element of a broadcast's result as long as the graph lives (2 GiB for six layers at
16 x 128), and a transpose 8; both are several times slower than a copy to the full shape (`spread`) or a gather of rows (`split_heads`).
"""

from __future__ import annotations

import math

import numpy as np
from mindspore import Tensor, nn, ops

from common.api_mapping.binding import names

__all__ = ["attention", "gelu", "layer_norm", "spread"]

_ROWS = {name: row for name, row in names("torch.nn.functional").items() if name in __all__}
_mean, _sum = ops.ReduceMean(keep_dims=True), ops.ReduceSum(keep_dims=True)
_product, _left, _right = ops.BatchMatMul(), ops.BatchMatMul(transpose_a=True), ops.BatchMatMul(transpose_b=True)
_bias_add, _tile, _zeros = ops.BiasAdd(), ops.Tile(), ops.ZerosLike()


def spread(column: Tensor, width: int) -> Tensor:
    """``(rows, 1)`` to ``(rows, width)``."""
    return _tile(column, (1, width))


class _Gelu(nn.Cell):
    """x Phi(x) with Phi kept for the backward pass: d/dx = Phi(x) + x phi(x)."""

    def construct(self, x):
        phi = ops.erf(x * math.sqrt(0.5)) * 0.5 + 0.5
        return x * phi, phi

    def bprop(self, x, out, dout):
        density = ops.exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
        return (dout[0] * (out[1] + x * density),)


class _Normalize(nn.Cell):
    """(x - mean) / sqrt(var + eps) over the last axis."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def construct(self, x):
        width = x.shape[-1]
        centred = x - spread(_mean(x, -1), width)
        scale = ops.rsqrt(_mean(centred * centred, -1) + self.eps)
        return centred * spread(scale, width), scale

    def bprop(self, x, out, dout):
        normal, scale = out
        g, width = dout[0], x.shape[-1]
        return ((g - normal * spread(_mean(g * normal, -1), width) - spread(_mean(g, -1), width)) * spread(scale, width),)


@ops.constexpr
def _rows(batch: int, length: int, heads: int) -> Tensor:
    """Where the rows of (batch, heads, length) are in (batch, length, heads). The way back is the same with length and heads exchanged."""
    return Tensor(np.arange(batch * length * heads, dtype=np.int32).reshape(batch, length, heads).transpose(0, 2, 1).reshape(-1))


def _split_heads(x: Tensor, batch: int, heads: int) -> Tensor:
    """``(batch * length, hidden)`` to ``(batch, heads, length, width)``: rows of width are gathered, where a transpose would do it slower."""
    length, width = x.shape[0] // batch, x.shape[1] // heads
    return ops.reshape(ops.gather(ops.reshape(x, (-1, width)), _rows(batch, length, heads), 0), (batch, heads, length, width))


def _join_heads(x: Tensor) -> Tensor:
    """Inverse of `_split_heads`."""
    batch, heads, length, width = x.shape
    return ops.reshape(ops.gather(ops.reshape(x, (-1, width)), _rows(batch, heads, length), 0), (batch * length, heads * width))


class _Attention(nn.Cell):
    """softmax(q k^T / sqrt(width) + mask) v; the factors of a dropout multiply the probabilities."""

    def __init__(self, dropped: bool):
        super().__init__()
        self.dropped = dropped

    def construct(self, query, key, value, mask, factors):
        batch, heads = mask.shape[:2]
        q = _split_heads(query * (1.0 / math.sqrt(query.shape[1] // heads)), batch, heads)
        k, v = _split_heads(key, batch, heads), _split_heads(value, batch, heads)
        probabilities = ops.softmax(_right(q, k) + mask, -1)  # (batch, heads, queries, seq)
        mixed = _product(probabilities * factors if self.dropped else probabilities, v)
        return _join_heads(mixed), q, k, v, probabilities, mixed

    def bprop(self, query, key, value, mask, factors, out, dout):
        _, q, k, v, probabilities, mixed = out
        batch, heads = mask.shape[:2]
        g = _split_heads(dout[0], batch, heads)
        by_probabilities = _right(g, v)
        dropped = probabilities
        if self.dropped:
            by_probabilities, dropped = by_probabilities * factors, probabilities * factors
        inner = spread(ops.reshape(_sum(g * mixed, -1), (-1, 1)), k.shape[2])  # the sum over the keys of probability times its gradient
        by_scores = probabilities * (by_probabilities - ops.reshape(inner, probabilities.shape))
        by_query = _product(by_scores, k) * (1.0 / math.sqrt(k.shape[3]))
        return _join_heads(by_query), _join_heads(_left(by_scores, q)), _join_heads(_left(dropped, g)), _zeros(mask), _zeros(factors)


_attention, _dropped_attention = _Attention(False), _Attention(True)


_gelu_erf = _Gelu()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """GELU of float32; the tanh form through MindSpore's own fused operator, which is accurate where its tanh is not."""
    return ops.gelu(input, "tanh") if approximate == "tanh" else _gelu_erf(input)[0]


def layer_norm(input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer norm of float32 over the last axis."""
    rows = ops.reshape(input, (-1, input.shape[-1]))
    scaled = _Normalize(eps)(rows)[0] * _tile(ops.reshape(weight, (1, -1)), (rows.shape[0], 1))
    return ops.reshape(_bias_add(scaled, bias), input.shape)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, factors: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d) + mask) v (Vaswani et al. 2017, eq. 1), per head.

    Args:
        query: ``(batch * queries, hidden)``; queries is seq, or fewer.
        key, value: ``(batch * seq, hidden)``.
        mask: additive, ``(batch, heads, queries, seq)``; gets no gradient.
        factors: of a dropout of the probabilities, of the mask's shape.

    Returns:
        ``(batch * queries, hidden)``.
    """
    if factors is None:
        return _attention(query, key, value, mask, mask)[0]
    return _dropped_attention(query, key, value, mask, factors)[0]
