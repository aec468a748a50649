"""DeBERTa's attention of contents and relative positions (He et al. 2021, equation 4).

With contents Qc, Kc and the projected table of relative positions Kr, Qr, the score of query i and key j is

    (Qc_i . Kc_j + Qc_i . Kr_d + Kc_j . Qr_d) / sqrt(width * (1 + terms of positions)),        d = d(i, j)

where d(i, j) is the row of the table for the distance i - j, for both terms, as in the published code.

The products of all queries with the rows in the order of their distances have the wanted scores along their diagonals.
Read as one flat array, a diagonal step is a step of one row less one element, so that two slices give them: no gather of
a tensor of that size, and no index of it. Heads come first, ``(heads, batch, seq, width)``, so that the table, which all
texts share, is multiplied with all texts of a head at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.models.relative import Distances, pos_att_types
from mindspore_impl.layers.attention import scored_attention
from mindspore_impl.layers.dropout import Dropout
from mindspore_impl.layers.modules import parameter

__all__ = ["DisentangledAttention", "Table", "pair_mask", "reordered"]

_right, _transpose, _slice = ops.BatchMatMul(transpose_b=True), ops.Transpose(), ops.Slice()
_sum = ops.ReduceSum()
_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class Table(nn.Cell):
    """A weight ``(rows, width)`` that is read as a whole."""

    def __init__(self, path: str, rows: int, width: int):
        super().__init__(auto_prefix=False)
        self.weight: Parameter = parameter(f"{path}.weight", rows, width)


def pair_mask(attention_mask: Tensor, heads: int) -> Tensor:
    """``(batch, seq)`` of 1 and 0 to the additive float32 ``(heads, batch, seq, seq)``, 0 where both query and key are no
    padding: padding attends to everything alike, as in `transformers`, and nothing reads what it gets."""
    real = ops.expand_dims(attention_mask.astype(ms.float32), 2)
    pairs = ops.expand_dims(_right(real, real), 0)
    return ops.stop_gradient(ops.tile((1.0 - pairs) * _NEGATIVE, (heads, 1, 1, 1)))


@ops.constexpr
def _order(shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """Where the rows of an array of ``shape`` are in the order of ``axes``."""
    return Tensor(np.arange(np.prod(shape), dtype=np.int32).reshape(shape).transpose(axes).reshape(-1))


@ops.constexpr
def _inverse(shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    return Tensor(np.argsort(np.arange(np.prod(shape)).reshape(shape).transpose(axes).reshape(-1)).astype(np.int32))


class _Reordered(nn.Cell):
    """Rows in another order: a gather, in both directions."""

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...]):
        super().__init__(auto_prefix=False)
        self.shape, self.axes = shape, axes

    def construct(self, rows):
        return ops.gather(rows, _order(self.shape, self.axes), 0)

    def bprop(self, rows, out, dout):
        return (ops.gather(dout, _inverse(self.shape, self.axes), 0),)


def reordered(rows: Tensor, shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """The rows ``(product of shape, width)`` of an array of ``shape`` in the order of ``axes``."""
    return _Reordered(shape, axes)(rows)


@ops.constexpr
def _read_rows(sizes: tuple[int, int, int], cut: bool, length: int, backwards: bool, heads: int) -> Tensor:
    """Of a projected table, as rows ``(table rows, heads)``, those of every head for all distances: heads first."""
    rows = Distances(*sizes, cut).rows(length)[:: -1 if backwards else 1]
    return Tensor((rows * heads + np.arange(heads, dtype=np.int32)[:, None]).astype(np.int32).reshape(-1))


@ops.constexpr
def _middle(span: int, length: int) -> Tensor:
    return Tensor(np.arange(span - length, span + length, dtype=np.int32))


@ops.constexpr
def _falling(length: int) -> Tensor:
    return Tensor(np.arange(length, 0, -1, dtype=np.int32))


class _Diagonals(nn.Cell):
    """Of ``(count, length, 2 * length)`` the elements ``(i, start + i * (2 * length - 1) + j - i * 2 * length)``,
    ``(count, length, length)``: row i begins one element before row i - 1.

    Args:
        exchanged: whether queries and keys change places.
    """

    def __init__(self, start: int, exchanged: bool):
        super().__init__(auto_prefix=False)
        self.start, self.exchanged = start, exchanged

    def construct(self, x):
        count, length, double = x.shape
        flat = _slice(ops.reshape(x, (count, length * double)), (0, self.start), (count, length * (double - 1)))
        found = _slice(ops.reshape(flat, (count, length, double - 1)), (0, 0, 0), (count, length, length))
        return _transpose(found, (0, 2, 1)) if self.exchanged else found

    def bprop(self, x, out, dout):
        count, length, double = x.shape
        g = _transpose(dout, (0, 2, 1)) if self.exchanged else dout
        wide = ops.concat((g, ops.zeros((count, length, length - 1), g.dtype)), 2)
        flat = ops.reshape(wide, (count, length * (double - 1)))
        before, behind = (ops.zeros((count, n), g.dtype) for n in (self.start, length - self.start))
        return (ops.reshape(ops.concat((before, flat, behind), 1), x.shape),)


@ops.constexpr
def _diagonal_index(length: int, start: int, exchanged: bool) -> Tensor:
    i, j = np.arange(length)[:, None], np.arange(length)
    index = start + i * (2 * length - 1) + j
    return Tensor((index.T if exchanged else index).astype(np.int32).reshape(-1))


def diagonals(x: Tensor, start: int, exchanged: bool, hand_written: bool) -> Tensor:
    if hand_written:
        return _Diagonals(start, exchanged)(x)
    count, length, double = x.shape
    flat = ops.reshape(x, (count, length * double))
    return ops.reshape(ops.gather(flat, _diagonal_index(length, start, exchanged), 1), (count, length, length))


class DisentangledAttention(nn.Cell):
    """What the attentions of all DeBERTas share, with the interface of
    `mindspore_impl.blocks.transformer.SelfAttention`; its masks come from `pair_mask`, and ``shared`` is the table of
    relative positions ``(rows, hidden)``.

    Args:
        path: of the attention.
        cut: whether the middle of the table is read alone, see `common.models.relative.Distances`.
    """

    def __init__(self, path: str, config: Mapping[str, Any], cut: bool):
        super().__init__(auto_prefix=False)
        kinds, distances = pos_att_types(config), Distances.of(config, cut)
        self.c2p, self.p2c, self.plain = "c2p" in kinds, "p2c" in kinds, ()
        self.sizes, self.cut = (distances.span, distances.number, distances.largest), cut
        self.heads = config["num_attention_heads"]
        self.width = config["hidden_size"] // self.heads
        self.scale = (self.width * (1 + len(kinds))) ** -0.5
        self.table_dropout = Dropout(f"{path}.pos_dropout", config["hidden_dropout_prob"])
        self.probabilities = Dropout(f"{path}.dropout", config["attention_probs_dropout_prob"])
        self.probabilities.heads_first = True

    def contents(self, x, read):
        """Query, key and value of ``x`` ``(tokens, hidden)``, the query of ``read`` unless that is None, each ``(heads *
        tokens, width)``."""
        raise NotImplementedError

    def position_keys(self, table):
        """Kr ``(rows, hidden)``."""
        raise NotImplementedError

    def position_queries(self, table):
        """Qr ``(rows, hidden)``."""
        raise NotImplementedError

    def construct(self, x, read, mask, past=None, shared=None, turn=0):
        """``(batch * seq, hidden)`` to ``(batch * queries, hidden)``: every position's, or the first one's alone."""
        heads, batch, queries, length = mask.shape
        query, key, value = self.contents(x, read)
        scores, hand_written = mask, "attention" not in self.plain
        table = self.read_table(shared, length)
        if self.c2p:
            near = self.in_order(self.position_keys(table), length, True)
            scores = scores + self.aligned(query, near, mask.shape, False, hand_written)
        if self.p2c:
            near = self.in_order(self.position_queries(table), length, False)
            scores = scores + self.aligned(key, near, mask.shape, True, hand_written)
        split, tokens = (heads, batch, length, self.width), batch * queries
        query = ops.reshape(query, (heads, batch, queries, self.width))
        key, value = ops.reshape(key, split), ops.reshape(value, split)
        mixed = scored_attention(query, key, value, scores, self.scale, self.probabilities, hand_written)
        rows = reordered(ops.reshape(mixed, (heads * tokens, self.width)), (heads, tokens), (1, 0))
        return ops.reshape(rows, (tokens, heads * self.width))

    def read_table(self, table, length):
        """What is projected of the table, under dropout."""
        table = self.table_dropout(table)
        if not self.cut or length >= self.sizes[0]:
            return table
        return ops.gather(table, _middle(self.sizes[0], length), 0)

    def in_order(self, projected, length, backwards):
        """Of a projected table the rows for all distances in order, scaled, ``(heads, 2 * length, width)``."""
        rows = _read_rows(self.sizes, self.cut, length, backwards, self.heads)
        found = ops.gather(ops.reshape(projected, (-1, self.width)), rows, 0)
        return ops.reshape(found, (self.heads, 2 * length, self.width)) * self.scale

    def aligned(self, contents, near, shape, exchanged, hand_written):
        """Scores ``(heads, batch, queries, seq)`` of contents and positions."""
        heads, batch, queries, length = shape
        if queries < length:
            return self.behind_first(contents, near, shape) if exchanged else self.ahead_of_first(contents, near, shape)
        products = _right(ops.reshape(contents, (heads, batch * length, self.width)), near)
        products = ops.reshape(products, (heads * batch, length, 2 * length))
        start = length if exchanged else length - 1
        return ops.reshape(diagonals(products, start, exchanged, hand_written), shape)

    def ahead_of_first(self, query, near, shape):
        """Scores ``(heads, batch, 1, seq)`` of the first position's contents and all positions, whose distances are 0,
        -1, -2, ..."""
        heads, batch, _, length = shape
        rows = near[:, length - 1 : 2 * length - 1]
        return ops.reshape(_right(ops.reshape(query, (heads, batch, self.width)), rows), shape)

    def behind_first(self, key, near, shape):
        """Scores ``(heads, batch, 1, seq)`` of all contents and the first position."""
        heads, batch, _, length = shape
        rows = ops.expand_dims(ops.gather(near, _falling(length), 1), 1)
        products = ops.reshape(key, (heads, batch, length, self.width)) * ops.tile(rows, (1, batch, 1, 1))
        return ops.reshape(_sum(products, -1), shape)
