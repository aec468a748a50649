"""Softmax and its kin."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.pointwise import fine

__all__ = ["log_softmax", "softmax", "softmin"]


def _weights(x: Tensor, dim: int) -> Tensor:
    """exp(x - max) / sum."""
    weights = ops.exp(x - ops.stop_gradient(x.max(axis=dim, keepdims=True)))
    return weights / weights.sum(dim, keepdims=True)


def _prepared(input: Tensor, dim: int | None, dtype: ms.Type | None) -> tuple[Tensor, int]:
    """At least one-dimensional, in the wanted dtype, and the axis; torch's choice where none is given."""
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1
    input = input if dtype is None else input.astype(dtype)
    return (input if input.ndim else ops.reshape(input, (1,))), dim


def softmax(input: Tensor, dim: int | None = None, dtype: ms.Type | None = None) -> Tensor:
    """Softmax over ``dim``, also of a 0-d or empty tensor; NaN where a row holds NaN, infinity or nothing but
    -infinity: the fused kernel gives 0 there, and on the CPU leaves every row behind it unwritten."""
    x, dim = _prepared(input, dim, dtype)
    return ops.reshape(_weights(x, dim), input.shape) if x.size else x


def log_softmax(input: Tensor, dim: int | None = None, dtype: ms.Type | None = None) -> Tensor:
    """log softmax over ``dim``, in float64 on the CPU, also of a 0-d or empty tensor."""
    x, dim = _prepared(input, dim, dtype)
    if not x.size:
        return x
    y = fine(x)
    y = y - ops.stop_gradient(y.max(axis=dim, keepdims=True))
    return ops.reshape((y - ops.log(ops.exp(y).sum(dim, keepdims=True))).astype(x.dtype), input.shape)


def softmin(input: Tensor, dim: int | None = None, dtype: ms.Type | None = None) -> Tensor:
    """Softmax of -input."""
    return softmax(-input, dim, dtype)
