"""Dropout masks as a function of (seed, step, micro-batch, module path, element): the same bits in every backend, on
every device, after every resumption.
 An input ``(..., width)`` is taken as a table of rows and columns. With the counters R and C of a module, drawn from
its path, and the key k of a step, element (r, c) is kept where

    ((R[r] ^ k) | 1) * ((C[c] ^ k) | 1)  >=  p 2^32 - 2^31          in signed 32-bit integers that wrap,
 a multiply-shift hash (Dietzfelbinger et al. 1997, section 2) of which the high bits decide. One product an element is
less work than the frameworks' own generators do, and no host needs to send masks. Tests compare rates, row and column
sums, fourth moments and singular values with independent draws.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

__all__ = ["counters", "kept", "limit", "of_turn", "step_key"]


def _word(text: str) -> np.uint32:
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:4], "<u4")[0]


def _mix(x: np.ndarray) -> np.ndarray:
    """A bijection of 32-bit words in which every input bit changes about half of the output bits (Wellons 2018,
    "lowbias32")."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def counters(path: str, axis: str, count: int) -> np.ndarray:
    """R or C of the module at ``path``: int32 ``(count,)``. A longer array begins with the shorter one. ``axis`` is
    ``rows`` or ``columns``."""
    return _mix(np.arange(count, dtype=np.uint32) ^ _word(f"{path}|{axis}")).view(np.int32)


def of_turn(path: str, turn: int) -> str:
    """The path by which a dropout is masked when it is used for the ``turn``-th time, counted from 0, in one pass through
    a network: the masks of a layer that several layers share are independent of each other."""
    return path if turn == 0 else f"{path}@{turn}"


def step_key(seed: int, step: int, micro_batch: int) -> int:
    """k: a signed 32-bit integer."""
    return int(_word(f"{seed}|{step}|{micro_batch}").view(np.int32))


def limit(p: float) -> int:
    """The smallest product that is kept, so that a share ``p`` is dropped; to 2^-32."""
    return min(round(p * 2**32), 2**32 - 1) - 2**31


def kept(path: str, key: int, shape: tuple[int, ...], p: float) -> np.ndarray:
    """The mask, bool of ``shape``: what the backends compute, in NumPy."""
    word = np.array(key, np.int32).view(np.uint32)
    rows, columns = (
        (counters(path, *of).view(np.uint32) ^ word) | np.uint32(1)
        for of in (("rows", math.prod(shape[:-1])), ("columns", shape[-1]))
    )
    return ((rows[:, None] * columns).view(np.int32) >= limit(p)).reshape(shape)
