"""DiffQ's arithmetic (Défossez et al. 2022): bits as numbers that are learnt, quantisation as noise while they are.

A weight's numbers are read in their order, `Groups.size` of them share a number of bits b = least + (most - least)
sigmoid(l) with the trained l. With the range r of the whole weight, largest less smallest:

    training     w + r / (2^b - 1) n / 2            n normal, see `noise`
    evaluation   smallest + d round((w - smallest) / d),   d = r / (2^b - 1), b rounded

The range is a constant for the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.dropout import counters, of_turn

__all__ = ["DRAWS", "SPREAD", "Groups", "noise", "quantised", "words"]

DRAWS = 4  #: products that are added to one number of the noise
SPREAD = math.sqrt(12 / DRAWS) * 2.0**-32  #: brings the variance of their sum to 1
_MEGABYTE = 8 * 2**20  #: bits


@dataclass(frozen=True)
class Groups:
    """How the bits of one weight are chosen."""

    size: int  #: numbers that share their bits
    least: float
    most: float

    def count(self, numbers: int) -> int:
        """Groups of a weight."""
        return math.ceil(numbers / self.size)

    def bits(self, logits: np.ndarray) -> np.ndarray:
        """b of every group, float64."""
        return self.least + (self.most - self.least) * _sigmoid(logits)

    def logit(self, bits: float) -> float:
        """l of ``bits``."""
        share = (bits - self.least) / (self.most - self.least)
        return math.log(share / (1 - share))

    def sizes(self, numbers: int) -> np.ndarray:
        """Numbers of every group; the last one may have fewer."""
        found = np.full(self.count(numbers), self.size)
        found[-1] = numbers - self.size * (len(found) - 1)
        return found

    def megabytes(self, logits: np.ndarray, numbers: int, rounded: bool = False) -> float:
        """Size of a stored weight: its integers, the bits of every group, smallest and largest number."""
        bits = self.bits(logits)
        each = np.rint(bits) if rounded else bits
        codes = math.ceil(math.log2(self.most - self.least + 1)) * len(bits)
        return float((each * self.sizes(numbers)).sum() + codes + 64) / _MEGABYTE

    def slope(self, logits: np.ndarray, numbers: int) -> np.ndarray:
        """Derivative of `megabytes` by l, float64."""
        share = _sigmoid(logits)
        return self.sizes(numbers) * (self.most - self.least) * share * (1 - share) / _MEGABYTE


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64)))


def words(path: str, axis: str, count: int) -> list[np.ndarray]:
    """The counters of one axis, see `common.dropout`, for each product: `DRAWS` of int32 ``(count,)``."""
    return [counters(of_turn(f"{path}|noise", draw), axis, count) for draw in range(DRAWS)]


def noise(path: str, key: int, shape: tuple[int, int]) -> np.ndarray:
    """Float32 numbers of mean 0 and variance 1 for a weight of ``shape``, by path, step and place alone: the same bits
    in every backend.

    Each is the sum of four uniform ones, which is normal but for its tails: its fourth moment is 2.7 instead of 3, and
    none is beyond 3.47. A uniform one is the product of a row's and a column's counter, as of dropout's masks.
    """
    word = np.array(key, np.int32).view(np.uint32)
    total = np.zeros(shape, np.float32)
    for rows, columns in zip(words(path, "rows", shape[0]), words(path, "columns", shape[1]), strict=True):
        first, second = ((axis.view(np.uint32) ^ word) | np.uint32(1) for axis in (rows, columns))
        total = total + (first[:, None] * second).view(np.int32).astype(np.float32)
    return total * np.float32(SPREAD)


def quantised(weight: np.ndarray, bits: np.ndarray, size: int) -> np.ndarray:
    """A weight of any shape as it is evaluated, float32.

    Args:
        bits: of every group, which are rounded.
    """
    numbers = np.asarray(weight, np.float32).reshape(-1)
    levels = np.exp2(np.rint(bits)).astype(np.float32) - np.float32(1)
    low, span = numbers.min(), numbers.max() - numbers.min()
    step = np.repeat(span / levels, size)[: len(numbers)].astype(np.float32)
    safe = np.where(step == 0, np.float32(1), step)
    return (low + np.rint((numbers - low) / safe) * step).reshape(weight.shape)
