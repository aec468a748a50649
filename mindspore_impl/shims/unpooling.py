"""What undoes a pooling, channels that change places, distances of pairs and losses of sets of labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_axes, check_indices, check_reduction
from mindspore_impl.shims.indexing import added_at, gather, scatter
from mindspore_impl.shims.network import pairwise_distance
from mindspore_impl.shims.pooling import _several
from mindspore_impl.shims.reduction import mean, norm, total

__all__ = [
    "channel_shuffle",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "multilabel_margin_loss",
    "pdist",
    "triplet_margin_with_distance_loss",
]


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (axis 1) distributed over ``groups`` in turn."""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ValueError(f"channel_shuffle: channels that {groups} groups share are needed; received {input.shape}.")
    batch, channels, *rest = input.shape
    apart = ops.reshape(input, (batch, groups, channels // groups, *rest))
    return ops.reshape(mint.transpose(apart, 1, 2).contiguous(), input.shape)


def _unpooled(
    name: str, input: Tensor, indices: Tensor, kernel_size, stride, padding, output_size, count: int
) -> Tensor:
    if input.ndim not in (count + 1, count + 2) or input.shape != indices.shape:
        raise ValueError(
            f"{name}: input and indices of {count + 1} or {count + 2} axes are needed; received {input.shape}."
        )
    kernel, padding = _several(kernel_size, count), _several(padding, count)
    stride = kernel if stride is None else _several(stride, count)
    usual = [
        (size - 1) * stride[axis] - 2 * padding[axis] + kernel[axis] for axis, size in enumerate(input.shape[-count:])
    ]
    sizes = usual
    if output_size is not None:
        sizes = list(output_size)[-count:]
        for axis, size in enumerate(sizes):
            if not usual[axis] - stride[axis] < size < usual[axis] + stride[axis]:
                raise ValueError(f"{name}: output_size {output_size} does not fit; {tuple(usual)} is usual.")
    lead, area = input.shape[:-count], math.prod(sizes)
    check_indices(name, indices, 0, area)
    flat = ops.zeros((*lead, area), input.dtype)
    places, values = [ops.reshape(part, (*lead, -1)) for part in (indices, input)]
    fixed = ops.stop_gradient(values)
    change = ops.where(ops.isfinite(fixed), values - fixed, ops.zeros_like(fixed))
    found = ops.stop_gradient(scatter(flat, -1, places, fixed)) + added_at(flat, -1, places, change)
    return ops.reshape(found, (*lead, *sizes))


def max_unpool1d(input: Tensor, indices: Tensor, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """Values put back where `max_pool1d` found them, 0 elsewhere. Of several for one place the last is taken, and all
    have the gradient, as in torch."""
    return _unpooled("max_unpool1d", input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(input: Tensor, indices: Tensor, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """Values put back where `max_pool2d` found them, 0 elsewhere."""
    return _unpooled("max_unpool2d", input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(input: Tensor, indices: Tensor, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
    """Values put back where `max_pool3d` found them, 0 elsewhere."""
    return _unpooled("max_unpool3d", input, indices, kernel_size, stride, padding, output_size, 3)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances of every two rows, the first with all later ones first."""
    if input.ndim != 2 or p < 0:
        raise ValueError(f"pdist: a matrix and p of at least 0 are needed; received {input.shape} and {p}.")
    rows, columns = np.triu_indices(input.shape[0], 1)
    if not len(rows):
        return ops.zeros((0,), input.dtype)
    first, second = ops.gather(input, Tensor(rows), 0), ops.gather(input, Tensor(columns), 0)
    return norm(first - second, p, 1)


def _mean_or_sum(loss: Tensor, reduction: str) -> Tensor:
    check_reduction(reduction)
    return loss if reduction == "none" else total(loss) if reduction == "sum" else mean(loss)


def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Hinge of each score of another class against each of a label's, over the classes; labels end with the first -1."""
    if input.shape != target.shape or input.ndim not in (1, 2):
        raise ValueError(f"multilabel_margin_loss: one shape of 1 or 2 axes is needed; received {input.shape}.")
    check_indices("multilabel_margin_loss", target, -1, input.shape[-1])
    check_reduction(reduction)
    if input.shape[-1] == 0:
        raise RuntimeError(f"multilabel_margin_loss: at least one class is needed; received {input.shape}.")
    if 0 in input.shape:
        return ops.zeros(input.shape[:-1] if reduction == "none" else (), input.dtype)
    x, labels = [ops.expand_dims(part, 0) if input.ndim == 1 else part for part in (input, target)]
    there = ops.cumsum((labels < 0).astype(ms.int32), 1) == 0
    places = ops.where(there, labels, ops.zeros_like(labels))
    classes = ops.arange(x.shape[1])
    named = ops.logical_and(ops.expand_dims(places, -1) == classes, ops.expand_dims(there, -1))
    others = total(named.astype(ms.int32), 1) == 0
    margins = 1.0 - ops.expand_dims(gather(x, 1, places), -1) + ops.expand_dims(x, 1)
    counted = ops.logical_and(ops.expand_dims(there, -1), ops.expand_dims(others, 1))
    kept = ops.where(ops.logical_and(counted, margins > 0), margins, ops.zeros_like(margins))
    loss = total(kept, (1, 2)) / x.shape[1]
    return _mean_or_sum(ops.reshape(loss, ()) if input.ndim == 1 else loss, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(d(anchor, positive) - d(anchor, negative) + margin, 0) for any distance d."""
    if margin <= 0:
        raise ValueError(f"triplet_margin_with_distance_loss: margin must be positive; received {margin}.")
    check_axes("triplet_margin_with_distance_loss", anchor, positive, negative)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    short = near - far + margin
    return _mean_or_sum(ops.where(short < 0, ops.zeros_like(short), short), reduction)
