"""What layers are made of: linear maps, lookups, dropout, attention and distances."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.arithmetic import number
from mindspore_impl.shims.checks import check_indices, check_shape
from mindspore_impl.shims.indexing import added_at
from mindspore_impl.shims.pointwise import broadcast_shape, fine, met, single, spread
from mindspore_impl.shims.reduction import norm, total

__all__ = [
    "alpha_dropout",
    "bilinear",
    "cdist",
    "cosine_similarity",
    "dropout",
    "embedding",
    "embedding_bag",
    "linear",
    "one_hot",
    "pairwise_distance",
    "scaled_dot_product_attention",
]

_matmul_t = ops.MatMul(transpose_b=True)
_bias_add = ops.BiasAdd()
_NEGATIVE = float("-inf")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability ``p`` and scale the rest by 1 / (1 - p)."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be in [0, 1]; received {p}.")
    if inplace:
        raise ValueError(
            "inplace=True is not available: the adapter returns a new tensor; use what it returns and leave inplace out."
        )
    if not training or p == 0.0:
        return input
    return input * 0.0 if p == 1.0 else ops.dropout(input, p, True)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout to SELU's lowest value, scaled and moved so that mean 0 and variance 1 stay (Klambauer et al. 2017)."""
    if not training or p == 0.0 or p == 1.0 or inplace:
        return dropout(input, p, training, inplace)
    scale, shift, dropped = _alpha_scales(p)
    return ops.where(
        ops.rand_like(input) >= p, input * number(scale, input) + number(shift, input), ops.full_like(input, dropped)
    )


@ops.constexpr  # graphs compute with numbers in float32
def _alpha_scales(p: float) -> tuple[float, float, float]:
    lowest = -1.7580993408473766
    scale = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * lowest * lowest))
    return scale, -scale * lowest * p, scale * lowest * (1.0 - p)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of ``weight`` at ``input``; the row ``padding_idx`` gets no gradient. ``sparse`` changes nothing: gradients
    are dense.

    In a graph an id outside the table is not refused: -1 is the last row, and others are an error of the kernel.
    """
    if weight.ndim != 2:
        raise ValueError(f"embedding: a weight of two axes is needed; received {weight.shape}.")
    if max_norm is not None or scale_grad_by_freq:
        raise ValueError(
            "max_norm and scale_grad_by_freq are not available: the adapter neither changes the table nor counts ids."
        )
    check_indices("embedding", input, 0, weight.shape[0])
    if 0 in input.shape:  # the gradient's kernel wants some
        return ops.zeros((*input.shape, weight.shape[1]), weight.dtype)
    rows = ops.gather(weight, input, 0)
    if padding_idx is None:
        return rows
    padding = _padding(padding_idx, weight.shape[0])
    return ops.where(ops.expand_dims(input == padding, -1), ops.stop_gradient(rows), rows)


def _padding(padding_idx: int, rows: int) -> int:
    if padding_idx < -rows or padding_idx >= rows:
        raise ValueError(f"embedding: padding_idx must be in [{-rows}, {rows}); received {padding_idx}.")
    return padding_idx % rows


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    *,
    mode: str = "mean",
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of each bag, the bags being the rows of ``input`` or starting at ``offsets``."""
    if offsets is None:
        bags = ops.expand_dims(ops.arange(input.shape[0]), 1).tile((1, input.shape[1])).reshape((-1,))
        count = input.shape[0]
    else:
        count = offsets.shape[0] - 1 if include_last_offset else offsets.shape[0]
        bags = (ops.expand_dims(ops.arange(input.shape[0]), 1) >= ops.expand_dims(offsets, 0)).astype(ms.int32).sum(
            -1
        ) - 1
    check_indices("embedding_bag", input, 0, weight.shape[0])
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode must be sum, mean or max; received {mode}.")
    if per_sample_weights is not None and mode != "sum":
        raise ValueError(f"embedding_bag: per_sample_weights are for the mode sum; received {mode}.")
    ids = ops.reshape(input, (-1,))
    held = ops.expand_dims(ops.arange(count), 1) == ops.expand_dims(bags, 0)  # (bags, ids)
    if padding_idx is not None:
        held = ops.logical_and(held, ops.expand_dims(ids != _padding(padding_idx, weight.shape[0]), 0))
    rows = ops.gather(weight, ids, 0)
    if mode == "max":
        every = ops.expand_dims(rows, 0)  # (1, ids, width)
        inside = ops.broadcast_to(ops.expand_dims(held, -1), (count, *rows.shape))
        best = ops.where(inside, every, ops.full_like(every, _NEGATIVE)).max(axis=1)
        return ops.where(ops.isinf(best), ops.zeros_like(best), best)
    if per_sample_weights is not None:
        rows = rows * ops.reshape(per_sample_weights, (-1, 1))
    if padding_idx is not None:
        padded = ids == _padding(padding_idx, weight.shape[0])
        rows = ops.where(ops.expand_dims(padded, -1), ops.zeros_like(rows), rows)
    sums = ops.zeros((count + 1, rows.shape[1]), rows.dtype)  # what follows the last bag is left out
    places = ops.broadcast_to(ops.expand_dims(bags, -1), rows.shape)
    sums = added_at(sums, 0, places, rows)[:count]
    if mode == "sum":
        return sums
    return sums / ops.maximum(held.astype(rows.dtype).sum(1, keepdims=True), Tensor(1.0, rows.dtype))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class and 0 elsewhere, int64; without ``num_classes`` one more than the largest, which is read from the
    device (not in a graph).

    In a graph a class that does not exist is not refused and gives zeros.
    """
    if num_classes == 0 or num_classes < -1:
        raise ValueError(f"one_hot: num_classes must be above 0, or -1; received {num_classes}.")
    count = int(tensor.max()) + 1 if num_classes < 0 else num_classes
    check_indices("one_hot", tensor, 0, count)
    return (ops.expand_dims(tensor, -1) == ops.arange(count)).astype(ms.int64)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input W^T + b for ``(..., in)`` and W ``(out, in)``, as one two-dimensional product; W ``(in,)`` is one row, whose
    result has no axis."""
    shape = input.shape
    if weight.ndim == 1:
        return ops.squeeze(linear(input, ops.expand_dims(weight, 0), bias), -1)
    if shape[-1] != weight.shape[-1]:
        raise ValueError(f"linear: {shape} and the weight {weight.shape} cannot be multiplied: the last sizes differ.")
    if 0 in shape or 0 in weight.shape:  # the kernels and their gradients want some
        y = ops.zeros((*shape[:-1], weight.shape[0]), input.dtype)
        return y if bias is None else y + spread(bias, y.shape)
    y = _matmul_t(ops.reshape(input, (-1, shape[-1])), weight)
    if bias is not None:
        y = _bias_add(y, bias)
    return y if len(shape) == 2 else ops.reshape(y, (*shape[:-1], weight.shape[0]))


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1^T W input2 + b, W being ``(out, in1, in2)``."""
    out, first, second = weight.shape
    check_shape("bilinear", "the first input", input1, (*input2.shape[:-1], first))
    check_shape("bilinear", "the second input", input2, (*input1.shape[:-1], second))
    if bias is not None:
        check_shape("bilinear", "the bias", bias, (out,))
    mixed = linear(input2, ops.reshape(weight, (out * first, second))).reshape((*input2.shape[:-1], out, first))
    mixed, other = met(mixed, ops.expand_dims(input1, -2))
    y = total(mixed * other, -1).astype(input1.dtype)
    if bias is None:
        return y
    return y + (spread(bias, y.shape) if 0 in y.shape else bias)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q k^T scale + mask) v (Vaswani et al. 2017, eq. 1); a row that may look at no key gives 0."""
    if attn_mask is not None and is_causal:
        raise ValueError("attn_mask and is_causal exclude each other.")
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(times, -3), value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scale = number(_root(query.shape[-1]) if scale is None else scale, query)
    scores = ops.matmul(query * scale, ops.swapaxes(key, -1, -2))
    if is_causal:
        attn_mask = ops.expand_dims(ops.arange(query.shape[-2]), 1) >= ops.arange(key.shape[-2])
    if attn_mask is not None:
        scores = (
            ops.where(attn_mask, scores, ops.full_like(scores, _NEGATIVE))
            if attn_mask.dtype == ms.bool_
            else scores + attn_mask
        )
    scores = single(scores)
    largest = ops.stop_gradient(scores.max(axis=-1, keepdims=True))
    weights = ops.exp(fine(scores - ops.where(largest == _NEGATIVE, ops.zeros_like(largest), largest)))
    total = weights.sum(-1, keepdims=True)
    shares = (weights / ops.where(total == 0, ops.ones_like(total), total)).astype(value.dtype)
    return ops.matmul(dropout(shares, dropout_p), value)


@ops.constexpr  # graphs compute with numbers in float32
def _root(width: int) -> float:
    return 1.0 / math.sqrt(width)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Product of the directions of x1 and x2 along ``dim``, lengths being at least ``eps``; in any dtype."""
    if x1.ndim == x2.ndim == 0 or not (x1.is_floating_point() and x2.is_floating_point()):
        raise ValueError(f"cosine_similarity: floating point vectors are needed; received {x1.dtype} and {x2.dtype}.")
    shape = broadcast_shape(x1.shape, x2.shape)
    first, second = ops.broadcast_to(single(x1), shape), ops.broadcast_to(single(x2), shape)
    return total(first / _length(first, dim, eps) * (second / _length(second, dim, eps)), dim).astype(x1.dtype)


def _length(x: Tensor, dim: int, eps: float) -> Tensor:
    """The norm, at least eps, which the gradient does not see; the gradient at 0 is 0."""
    length = norm(x, 2.0, dim, True)
    return length + ops.stop_gradient(ops.where(length < eps, eps - length, ops.zeros_like(length)))


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """p-norms of the differences of every row of x1 and every row of x2, in the inputs' dtype; ``compute_mode`` changes
    nothing."""
    if p < 0:
        raise ValueError(f"cdist: p must be at least 0; received {p}.")
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"cdist: rows of one length are needed; received {x1.shape} and {x2.shape}.")
    return norm(ops.expand_dims(x1, -2) - ops.expand_dims(x2, -3), p, -1)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """p-norm of x1 - x2 + eps over the last axis."""
    return norm(x1 - x2 + number(eps, x1), p, -1, keepdim)
