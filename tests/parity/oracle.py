"""LoRA layers in float64 NumPy with analytic gradients, written from the equations and sharing no code with the
project."""

from __future__ import annotations

import numpy as np


def lora_delta(a: np.ndarray, b: np.ndarray, parts, out_features: int, scaling: float) -> np.ndarray:
    """The update of W ``(out, in)``: for each slice, scaling * B_slice A_slice in the slice's rows."""
    delta, row, rank = np.zeros((out_features, a.shape[1])), 0, b.shape[1]
    for index, features in enumerate(parts):
        delta[features] = scaling * b[row : row + len(features)] @ a[index * rank : (index + 1) * rank]
        row += len(features)
    return delta


def linear(x, weight, bias, a, b, parts, scaling, upstream):
    """y and the gradients of sum(y * upstream) by x, A and B; x ``(tokens, in)``, weight ``(out, in)``."""
    x, weight, bias, a, b, upstream = (np.asarray(array, np.float64) for array in (x, weight, bias, a, b, upstream))
    full = weight + lora_delta(a, b, parts, weight.shape[0], scaling)
    grad_a, grad_b, row, rank = np.zeros_like(a), np.zeros_like(b), 0, b.shape[1]
    by_weight = upstream.T @ x  # (out, in)
    for index, features in enumerate(parts):
        part, rows = slice(index * rank, (index + 1) * rank), slice(row, row + len(features))
        grad_a[part] = scaling * b[rows].T @ by_weight[features]
        grad_b[rows] = scaling * by_weight[features] @ a[part].T
        row += len(features)
    return x @ full.T + bias, {"x": upstream @ full, "lora_A": grad_a, "lora_B": grad_b}


def embedding(ids, weight, a, b, scaling, upstream):
    """y and the gradients by A ``(rank, rows)`` and B ``(width, rank)``."""
    weight, a, b, upstream = (np.asarray(array, np.float64) for array in (weight, a, b, upstream))
    one_hot = np.eye(weight.shape[0])[np.ravel(ids)]  # (tokens, rows)
    flat = upstream.reshape(-1, upstream.shape[-1])
    grad_a = scaling * b.T @ flat.T @ one_hot
    grad_b = scaling * flat.T @ one_hot @ a.T
    y = one_hot @ (weight + scaling * (b @ a).T)
    return y.reshape(*np.shape(ids), -1), {"lora_embedding_A": grad_a, "lora_embedding_B": grad_b}
