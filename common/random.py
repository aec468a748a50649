"""Random arrays that depend on (seed, name) alone: not on call order, backend, device or thread count."""

from __future__ import annotations

import hashlib
import math

import numpy as np

__all__ = ["Stream", "gumbel", "normal", "uniform", "words"]


class Stream:
    """Random numbers one after the other, a function of ``key`` and ``counter`` alone."""

    def __init__(self, key: tuple[int, int], counter: int):
        self._words = np.random.Philox(key=list(key), counter=[0, 0, 0, counter])

    def below(self, bound: int) -> int:
        """An integer from 0 to ``bound`` - 1, each equally probable to within bound / 2^32."""
        return (int(self._words.random_raw()) >> 32) * bound >> 32

    def share(self) -> float:
        """A float64 in [0, 1)."""
        return (int(self._words.random_raw()) >> 11) * 2.0**-53


def _generator(seed: int, name: str) -> np.random.Philox:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little"))


def uniform(seed: int, name: str, shape: tuple[int, ...], bound: float) -> np.ndarray:
    """Float32 array, uniform in [-bound, bound): 24 random bits per value, so exact on every host."""
    raw = np.asarray(_generator(seed, name).random_raw(math.prod(shape)), dtype=np.uint64)
    unit = (raw >> np.uint64(40)).astype(np.float64) * 2.0**-24
    return ((2.0 * unit - 1.0) * bound).astype(np.float32).reshape(shape)


def normal(seed: int, name: str, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Float32 array, normal with mean 0 and standard deviation ``std``."""
    return (np.random.Generator(_generator(seed, name)).standard_normal(shape) * std).astype(np.float32)


def gumbel(seed: int, name: str, size: int, at: np.ndarray) -> np.ndarray:
    """Float64 array, the entries ``at`` of ``size`` values of the standard Gumbel distribution.

    The largest of ``log p + gumbel`` is at i with probability ``p[i]`` (Gumbel 1954); the k largest are a sample
    without replacement.
    """
    raw = np.asarray(_generator(seed, name).random_raw(size), dtype=np.uint64)[at]
    unit = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(unit))


def words(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uint64 array of uniform random words."""
    return np.asarray(_generator(seed, name).random_raw(math.prod(shape)), dtype=np.uint64).reshape(shape)
