"""Rotary positions of the native cells. It has no counterpart: on the PyTorch side they are inside `transformers`."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from common.models import rotary

_zeros = ops.ZerosLike()


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


def turned(x: Tensor, cosines: Tensor, sines: Tensor, hand_written: bool = True) -> Tensor:
    """Queries or keys at their positions. All are ``(batch, heads, length, width)``; see `fused` for ``hand_written``."""
    return _turn(x, cosines, sines) if hand_written else x * cosines + swapped(x) * sines


@ops.constexpr
def table(turns: tuple[float, ...], start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the positions from ``start`` to ``stop``, each ``(stop - start, width)``.

    Args:
        turns: `common.models.rotary.frequencies`.
    """
    cosines, sines = rotary.tables(np.array(turns, np.float32), np.arange(start, stop))
    return Tensor(cosines), Tensor(sines)


@ops.constexpr
def causal(start: int, stop: int, window: int) -> Tensor:
    """Additive mask ``(1, 1, stop - start, stop)`` of the positions from ``start`` on: those after each one, and, where
    ``window`` is not 0, those that far before it."""
    queries, keys = np.arange(start, stop)[:, None], np.arange(stop)[None]
    hidden = (keys > queries) | ((keys <= queries - window) if window else False)
    return Tensor(np.where(hidden, np.float32(-1e30), np.float32(0))[None, None])
