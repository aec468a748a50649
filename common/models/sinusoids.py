"""Sinusoidal positions (Vaswani et al. 2017, section 3.5), decided once for both backends."""

from __future__ import annotations

import numpy as np

__all__ = ["sinusoids"]


def sinusoids(positions: int, width: int) -> np.ndarray:
    """``(positions, width)`` float32, computed in float64.

    PE(pos, 2i) = sin(pos / 10000^(2i / width)) and PE(pos, 2i + 1) = cos of the same, so that PE(pos + k) is a rotation
    of PE(pos) that depends on k alone.

    Example:
        >>> sinusoids(2, 4).round(3).tolist()
        [[0.0, 1.0, 0.0, 1.0], [0.841, 0.54, 0.01, 1.0]]
    """
    angles = np.arange(positions)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], 2).reshape(positions, -1)[:, :width].astype(np.float32)
