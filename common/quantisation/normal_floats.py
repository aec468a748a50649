"""NF4 and its double quantisation (Dettmers et al. 2023), in the code book, the blocks and the layout of bitsandbytes.

A weight is read row by row. Every `BLOCK` numbers share a scale, the largest of their absolute values; of each number
the nearest of 16 quantiles of a normal distribution, scaled to [-1, 1], is stored, two in a byte, the first one in its
upper part. The scales less their mean are quantised again: every `NESTED` of them share a scale, and the nearest of 256
numbers of a dynamic exponent is stored. That makes 4 + 8 / 64 + 32 / (64 * 256) = 4.127 bits a weight.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

__all__ = ["BLOCK", "NESTED", "QUANTILES", "Stored", "dequantised", "dynamic_map", "quantised", "scales_of", "sizes"]

BLOCK, NESTED = 64, 256
#: section 3 and appendix E of the paper; zero is one of them
QUANTILES = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
        *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
        *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
    np.float32,
)
_EXPONENTS = 7  #: of the dynamic map


class Stored(NamedTuple):
    """A quantised weight of n numbers in ceil(n / 64) blocks."""

    codes: np.ndarray  #: uint8 ``(ceil(n / 2),)``
    absmax: np.ndarray  #: uint8 ``(blocks,)``; float32 without double quantisation
    absmax_scale: np.ndarray | None  #: float32 ``(ceil(blocks / 256),)``
    offset: np.ndarray | None  #: float32 ``(1,)``: the mean of the scales


def sizes(count: int) -> tuple[int, int, int]:
    """Bytes of codes, blocks, and blocks of scales, of ``count`` numbers."""
    blocks = math.ceil(count / BLOCK)
    return math.ceil(count / 2), blocks, math.ceil(blocks / NESTED)


@cache
def dynamic_map() -> np.ndarray:
    """The 256 numbers of the scales, ascending, float32 (Dettmers 2016, section 3): of every power of ten from 10^-6 to
    1 the middles of 1, 2, 4, ... 64 equal parts of [0.1, 1], with either sign, 0 and 1."""
    numbers = [np.float32(0), np.float32(1)]
    for exponent in range(_EXPONENTS):
        edges = _evenly(2**exponent + 1)
        middles = (edges[:-1] + edges[1:]) / np.float32(2)
        scaled = np.float32(10.0 ** (exponent - _EXPONENTS + 1)) * middles
        numbers += [*scaled, *-scaled]
    return np.sort(np.array(numbers, np.float32))


def _evenly(count: int) -> np.ndarray:
    """``count`` numbers from 0.1 to 1 in float32, from both ends to the middle, as torch's ``linspace`` has them."""
    start, end = np.float32(0.1), np.float32(1)
    step = (end - start) / np.float32(count - 1)
    index = np.arange(count, dtype=np.float32)
    return np.where(index < count // 2, start + step * index, end - step * (np.float32(count - 1) - index))


def quantised(weight: np.ndarray, double: bool = True) -> Stored:
    """Of a weight of any shape.

    Args:
        double: whether the scales are quantised too.
    """
    numbers = np.asarray(weight, np.float32).reshape(-1)
    blocks = _blocks(numbers, BLOCK)
    scales = np.abs(blocks).max(axis=1)
    indices = _nearest(_scaled(blocks, scales), QUANTILES).reshape(-1)[: len(numbers)]
    indices = np.pad(indices, (0, len(indices) % 2), constant_values=int(np.flatnonzero(QUANTILES == 0)[0]))
    codes = indices[::2] << 4 | indices[1::2]
    if not double:
        return Stored(codes, scales, None, None)
    offset = np.array([scales.mean(dtype=np.float64)], np.float32)
    nested = _blocks(scales - offset, NESTED)
    above = np.abs(nested).max(axis=1)
    absmax = _nearest(_scaled(nested, above), dynamic_map()).reshape(-1)[: len(scales)]
    return Stored(codes, absmax, above, offset)


def scales_of(stored: Stored) -> np.ndarray:
    """The scale of every block, float32."""
    if stored.absmax_scale is None or stored.offset is None:
        return stored.absmax
    above = np.repeat(stored.absmax_scale, NESTED)[: len(stored.absmax)]
    return dynamic_map()[stored.absmax] * above + stored.offset


def dequantised(stored: Stored, shape: tuple[int, ...]) -> np.ndarray:
    """The weight, float32 of ``shape``."""
    indices = np.stack([stored.codes >> 4, stored.codes & 15], -1).reshape(-1)[: math.prod(shape)]
    blocks = _blocks(QUANTILES[indices], BLOCK) * scales_of(stored)[:, None]
    return blocks.reshape(-1)[: math.prod(shape)].reshape(shape)


def _blocks(numbers: np.ndarray, size: int) -> np.ndarray:
    """``(blocks, size)``; the last one is filled up with zeros."""
    return np.pad(numbers, (0, -len(numbers) % size)).reshape(-1, size)


def _scaled(blocks: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """To [-1, 1] by the reciprocal of the largest; a block of zeros, or of numbers too small for that, stays."""
    with np.errstate(divide="ignore", over="ignore"):
        reciprocal = np.float32(1) / largest[:, None]
    return np.clip(blocks * np.where(np.isfinite(reciprocal), reciprocal, np.float32(1)), -1, 1)


def _nearest(numbers: np.ndarray, book: np.ndarray) -> np.ndarray:
    """uint8 indices into the ascending ``book``; of two that are equally near the first."""
    right = np.clip(np.searchsorted(book, numbers), 1, len(book) - 1)
    left = right - 1
    nearer = np.abs(numbers - book[left]) <= np.abs(book[right] - numbers)
    return np.where(nearer, left, right).astype(np.uint8)
