"""Canonical polyadic decomposition: a tensor as a sum of products of vectors, by alternating least squares."""

from __future__ import annotations

import numpy as np

from common import random

__all__ = ["cp_factors", "cp_size"]

_STARTS, _ROUNDS, _RIDGE, _STILL = 3, 300, 1e-9, 1e-9


def cp_size(shape: tuple[int, ...], ranks: tuple[int, ...]) -> int:
    """Numbers in the factors."""
    return ranks[0] * sum(shape)


def cp_factors(tensor: np.ndarray, rank: int) -> list[np.ndarray]:
    """A factor ``(size, rank)`` for every axis, of like norms: the best of a few random starts, which are the same for the
    same shape.

    Alternating least squares need not find the least error there is; a small ridge keeps its equations solvable.
    """
    if not tensor.any():
        return [np.zeros((size, rank)) for size in tensor.shape]
    tried = [_alternating(tensor, rank, start) for start in range(_STARTS)]
    _, factors = min(tried, key=lambda item: item[0])
    return _balanced(factors)


def _alternating(tensor: np.ndarray, rank: int, start: int) -> tuple[float, list[np.ndarray]]:
    factors = [
        random.normal(start, f"cp|{axis}|{tensor.shape}", (size, rank), 1.0).astype(np.float64)
        for axis, size in enumerate(tensor.shape)
    ]
    norm, before = float(np.linalg.norm(tensor)), np.inf
    for _ in range(_ROUNDS):
        for axis in range(tensor.ndim):
            others = [factor for other, factor in enumerate(factors) if other != axis]
            gram = np.ones((rank, rank))
            for factor in others:
                gram = gram * (factor.T @ factor)
            gram = gram + _RIDGE * np.trace(gram) / rank * np.eye(rank)
            unfolded = np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)
            factors[axis] = np.linalg.solve(gram, (unfolded @ _products(others)).T).T
        error = float(np.linalg.norm(_multiplied(factors).reshape(tensor.shape) - tensor))
        if before - error <= _STILL * norm:
            break
        before = error
    return error, factors


def _products(factors: list[np.ndarray]) -> np.ndarray:
    """Column by column, the product of all, the first axis slowest."""
    found = factors[0]
    for factor in factors[1:]:
        found = np.einsum("ar,br->abr", found, factor).reshape(-1, found.shape[1])
    return found


def _multiplied(factors: list[np.ndarray]) -> np.ndarray:
    return factors[0] @ _products(factors[1:]).T


def _balanced(factors: list[np.ndarray]) -> list[np.ndarray]:
    """Every vector of a product gets the same norm."""
    norms = np.array([np.linalg.norm(factor, axis=0) for factor in factors])
    norms = np.maximum(norms, np.finfo(np.float64).tiny)
    each = np.exp(np.log(norms).mean(axis=0))
    return [factor / norm * each for factor, norm in zip(factors, norms, strict=True)]
