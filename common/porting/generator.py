"""torch's random numbers on the CPU, in NumPy: the same seed gives the same numbers.

torch draws from a Mersenne twister, NumPy's `MT19937`, of 32 bits at a time. What a distribution makes of them is
described in ATen's `DistributionTemplates.h` (BSD licence); this module follows it, and a test compares both.
"""

from __future__ import annotations

import math
import secrets

import numpy as np

__all__ = ["Generator"]

_LOW24, _LOW53 = np.uint32(2**24 - 1), np.uint64(2**53 - 1)


class Generator:
    """A stream of torch's random numbers.

    Example:
        >>> Generator().manual_seed(0).uniform(3).tolist()
        [0.4962565302848816, 0.7682217955589294, 0.0884774923324585]
    """

    def __init__(self, device: object = "cpu"):
        self.device = device
        self.manual_seed(67280421310721)  # torch's default

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from ``seed``, which may be negative."""
        self._seed = int(seed) % 2**64
        self._bits = np.random.RandomState(self._seed % 2**32)
        self._next_normal: float | None = None
        return self

    def seed(self) -> int:
        """Start anew from a seed that nobody knows."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """What it started from."""
        return self._seed

    def get_state(self) -> tuple:
        """What `set_state` continues from."""
        return (self._seed, self._bits.get_state(), self._next_normal)

    def set_state(self, state: tuple) -> Generator:
        """Continue where `get_state` was called."""
        self._seed, bits, self._next_normal = state
        self._bits.set_state(bits)
        return self

    def words(self, count: int) -> np.ndarray:
        """32 random bits each, uint32."""
        return self._bits.randint(0, 2**32, count, dtype=np.uint32)

    def long_words(self, count: int) -> np.ndarray:
        """64 random bits each, uint64."""
        pairs = self.words(2 * count).astype(np.uint64).reshape(-1, 2)
        return pairs[:, 0] << np.uint64(32) | pairs[:, 1]

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0, double: bool = False) -> np.ndarray:
        """Uniform in [low, high), float32 unless ``double``."""
        if double:
            found = (self.long_words(count) & _LOW53).astype(np.float64) * 2.0**-53
            return found * (high - low) + low
        found = (self.words(count) & _LOW24).astype(np.float32) * np.float32(2.0**-24)
        start, end = np.float32(low), np.float32(high)
        return (found.astype(np.float64) * float(end - start) + float(start)).astype(np.float32)  # rounded once

    def normal(self, count: int, mean: float = 0.0, std: float = 1.0, double: bool = False) -> np.ndarray:
        """Normal, float32 unless ``double``, by the method of Box and Muller."""
        if count < 16:
            found = np.array([self._one_normal() for _ in range(count)])
            return (found * std + mean).astype(np.float64 if double else np.float32)
        found = self.uniform(count, double=double)
        whole = count // 16 * 16
        found[:whole] = _blocks(found[:whole], mean, std)
        if count > whole:  # the last 16 are made again
            found[-16:] = _blocks(self.uniform(16, double=double), mean, std)
        return found

    def _one_normal(self) -> float:
        if self._next_normal is not None:
            found, self._next_normal = self._next_normal, None
            return found
        angle, other = self.uniform(2, double=True)
        length = math.sqrt(-2.0 * math.log1p(-other))
        self._next_normal = length * math.sin(2.0 * math.pi * angle)
        return length * math.cos(2.0 * math.pi * angle)

    def integers(self, count: int, low: int, high: int) -> np.ndarray:
        """Whole numbers in [low, high), int64."""
        span = high - low
        bits = self.long_words(count) if span >= 2**32 else self.words(count).astype(np.uint64)
        return (bits % np.uint64(span)).astype(np.int64) + low

    def permutation(self, count: int) -> np.ndarray:
        """0 to ``count`` - 1 in random order, int64."""
        order = np.arange(count, dtype=np.int64)
        words = self.words(max(count - 1, 0))
        for place in range(count - 1):
            other = place + int(words[place]) % (count - place)
            order[place], order[other] = order[other], order[place]
        return order

    def long(self) -> int:
        """A seed for another generator: a non-negative integer below 2^63."""
        return int(self.long_words(1)[0] % np.uint64(2**63))


def _blocks(uniform: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Normal numbers of uniform ones, 16 at a time."""
    kind = uniform.dtype.type
    pairs = uniform.reshape(-1, 2, 8)
    length = np.sqrt(kind(-2.0) * np.log(kind(1.0) - pairs[:, 0]))
    angle = kind(2.0 * math.pi) * pairs[:, 1]
    found = np.stack([length * np.cos(angle), length * np.sin(angle)], 1)
    scaled = found.astype(np.float64) * float(kind(std)) + float(kind(mean))  # rounded once
    return scaled.astype(kind).reshape(-1)
