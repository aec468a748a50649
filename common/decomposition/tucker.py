"""Tucker decomposition of the two channel axes of a kernel, by higher-order orthogonal iteration."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["tucker_factors", "tucker_size"]

_ROUNDS, _STILL = 100, 1e-12


def tucker_size(shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
    """Numbers in both factors and the core."""
    outputs, inputs, *window = shape
    return outputs * ranks[0] + inputs * ranks[1] + ranks[0] * ranks[1] * math.prod(window)


def tucker_factors(kernel: np.ndarray, outer: int, inner: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U ``(out, outer)``, V ``(in, inner)``, both orthonormal, and the core ``(outer, inner, *window)``: the kernel is about
    the core multiplied by U along the outputs and by V along the inputs."""
    outputs, inputs, *window = kernel.shape
    flat = kernel.reshape(outputs, inputs, -1)
    u = _leading(flat, 0, outer)
    v = _leading(flat, 1, inner)
    before = 0.0
    for _ in range(_ROUNDS):
        u = _leading(np.einsum("tsw,sq->tqw", flat, v), 0, outer)
        v = _leading(np.einsum("tsw,tp->psw", flat, u), 1, inner)
        core = np.einsum("tsw,tp,sq->pqw", flat, u, v)
        kept = float(np.linalg.norm(core))
        if kept - before <= _STILL * kept:
            break
        before = kept
    return u, v, core.reshape(outer, inner, *window)


def _leading(tensor: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """The first left singular vectors along an axis."""
    unfolded = np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)
    return np.linalg.svd(unfolded, full_matrices=False)[0][:, :rank]
