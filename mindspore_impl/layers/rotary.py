"""Mirrors pytorch_impl.layers.rotary; differs: a hand-written gradient, and the tables and masks of the native cells,
which are inside `transformers` on the PyTorch side."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from common.models import rotary

__all__ = ["turned"]

_zeros = ops.ZerosLike()
_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off


class _Turn(nn.Cell):
    """x cos + swapped(x) sin; the gradient is turned back."""

    def construct(self, x, cosines, sines):
        return x * cosines + swapped(x) * sines

    def bprop(self, x, cosines, sines, out, dout):
        return dout * cosines - swapped(dout) * sines, _zeros(cosines), _zeros(sines)


_turn = _Turn()


def swapped(x: Tensor) -> Tensor:
    """The second part of the last axis with the opposite sign, and the first part."""
    first = x.shape[-1] // 2
    return ops.concat((-x[..., first:], x[..., :first]), -1)


def turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Queries or keys at their positions; all are ``(batch, heads, length, width)``."""
    return x * cosines + swapped(x) * sines


def turned_at_once(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The same with a hand-written gradient; like `fused` only for steps that are compiled with it, or not at all."""
    return _turn(x, cosines, sines)


@ops.constexpr
def table(turns: tuple[float, ...], start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the positions from ``start`` to ``stop``, each ``(stop - start, width)``.

    Args:
        turns: `common.models.rotary.frequencies`.
    """
    cosines, sines = rotary.tables(np.array(turns, np.float32), np.arange(start, stop))
    return Tensor(cosines), Tensor(sines)


@ops.constexpr
def causal(start: int, stop: int) -> Tensor:
    """Additive mask ``(1, 1, stop - start, stop)`` of the positions from ``start`` on, which hides those after each one."""
    queries, keys = np.arange(start, stop)[:, None], np.arange(stop)[None]
    return Tensor(np.where(keys > queries, np.float32(_NEGATIVE), np.float32(0))[None, None])


@ops.constexpr
def _columns(length: int) -> Tensor:
    return Tensor(np.arange(length, dtype=np.float32)[None])


def far(attention_mask: Tensor, start: int, window: int) -> Tensor:
    """Additive mask ``(batch, 1, queries, seq)`` of the queries from ``start`` on, which hides what is ``window``
    positions before them or more. Padding before the last token of a row is no position; that behind it is, as in
    `transformers`."""
    batch, length = attention_mask.shape
    padding = 1.0 - attention_mask.astype(ms.float32)
    before = ops.cumsum(padding, 1) * ops.tile(1.0 - padding[:, length - 1 :], (1, length))
    places = ops.tile(_columns(length), (batch, 1)) - before
    queries = ops.tile(ops.reshape(places[:, start:], (batch, length - start, 1)), (1, 1, length))
    keys = ops.tile(ops.reshape(places, (batch, 1, length)), (1, length - start, 1))
    hidden = (queries - keys >= window).astype(ms.float32) * _NEGATIVE
    return ops.reshape(hidden, (batch, 1, length - start, length))
