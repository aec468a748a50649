"""Symmetric integers: w = s q with q in -(2^(b-1) - 1) .. 2^(b-1) - 1 and one scale s for each row.

Everything is one float32 operation after another (largest, quotient, rounding to the nearest and to even, product), so
that the backends, which do the same, find the same integers.
"""

from __future__ import annotations

import numpy as np

__all__ = ["columns_exact", "dequantised", "largest", "pack", "packed", "quantised", "scales", "unpack"]

_EXACT = 2**24  #: float32 holds every integer up to it, so that sums below it are exact in any order
_OFFSET = 8  #: of a stored integer of four bits


def largest(bits: int) -> int:
    """The largest integer of ``bits`` bits.

    Example:
        >>> largest(8), largest(4)
        (127, 7)
    """
    return 2 ** (bits - 1) - 1


def scales(matrix: np.ndarray, bits: int) -> np.ndarray:
    """s of every row of ``(rows, columns)``: float32 ``(rows,)``; 1 for a row of zeros."""
    found = np.abs(np.asarray(matrix, np.float32)).max(axis=1, initial=0.0) / np.float32(largest(bits))
    return np.where(found == 0, np.float32(1), found).astype(np.float32)


def quantised(matrix: np.ndarray, scale: np.ndarray, bits: int) -> np.ndarray:
    """q of ``(rows, columns)``: int8 of the same shape.

    Args:
        scale: ``(rows,)``.

    Example:
        >>> w = np.array([[1.27, -0.635, 0.005]], np.float32)
        >>> quantised(w, scales(w, 8), 8).tolist()
        [[127, -64, 0]]
    """
    most = largest(bits)
    found = np.rint(np.asarray(matrix, np.float32) / scale[:, None])
    return np.clip(found, -most, most).astype(np.int8)


def dequantised(codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """s q, float32."""
    return codes.astype(np.float32) * scale[:, None]


def packed(bits: int) -> bool:
    """Whether two integers share a byte."""
    return bits <= 4


def pack(codes: np.ndarray) -> np.ndarray:
    """Integers of four bits at most, two in a byte, the first one in its upper part: int8 ``(rows, columns)`` to uint8
    ``(rows, ceil(columns / 2))``."""
    raised = np.pad(codes + np.int8(_OFFSET), ((0, 0), (0, codes.shape[1] % 2)), constant_values=_OFFSET)
    raised = raised.astype(np.uint8)
    return raised[:, ::2] << 4 | raised[:, 1::2]


def unpack(stored: np.ndarray, columns: int) -> np.ndarray:
    """Inverse of `pack`."""
    pairs = np.stack([stored >> 4, stored & 15], -1).reshape(len(stored), -1)
    return pairs[:, :columns].astype(np.int8) - np.int8(_OFFSET)


def columns_exact(first: int, second: int) -> int:
    """How many products of an integer of ``first`` and one of ``second`` bits float32 adds without rounding, in any
    order.

    Example:
        >>> columns_exact(8, 8), columns_exact(8, 4)
        (1040, 18871)
    """
    return _EXACT // (largest(first) * largest(second))
