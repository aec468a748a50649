"""Running extremes, sums and products, and differences of neighbours."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.arithmetic import logaddexp
from mindspore_impl.shims.pointwise import fine, single
from mindspore_impl.shims.reduction import _MANY
from mindspore_impl.shims.shape import cat

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "diff", "logcumsumexp"]


def cummax(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Running largest and its index, the last of equals; the values are gathered, which has a gradient."""
    if not input.ndim:
        return input, ops.zeros((), ms.int64)
    fixed = ops.stop_gradient(input)
    fixed = fixed.astype(ms.int32) if input.dtype == ms.bool_ else fixed
    index = ops.cummax(fixed, dim)[1].astype(ms.int64)
    return ops.gather_elements(input, dim, index), index


def cummin(input: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Running smallest and its index."""
    if not input.ndim:
        return input, ops.zeros((), ms.int64)
    fixed = ops.stop_gradient(input)
    if input.dtype == ms.uint8:
        fixed = fixed.astype(ms.int32)
    negative = -fixed if input.is_floating_point() else -1 - fixed  # which does not overflow
    index = ops.cummax(negative, dim)[1].astype(ms.int64)
    return ops.gather_elements(input, dim, index), index


def cumprod(input: Tensor, dim: int, *, dtype=None) -> Tensor:
    """Products of all so far, in log n rounds of products, so that the gradient holds where one of them is 0."""
    x = input.astype(dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64)
    size, step = x.shape[dim] if x.ndim else 1, 1
    while step < size:
        ones, earlier = ops.ones_like(ops.gather(x, ops.arange(step), dim)), ops.gather(x, ops.arange(size - step), dim)
        x = x * ops.concat([ones, earlier], dim)
        step = step * 2
    return x


def cumsum(input: Tensor, dim: int, *, dtype=None) -> Tensor:
    """Running sum; int64 for whole numbers and booleans."""
    wanted = dtype if dtype is not None else input.dtype if input.is_floating_point() else ms.int64
    converted = input.astype(wanted)
    if input.ndim == 0 or 0 in input.shape:
        return converted
    x = single(converted)
    if x.dtype == ms.float32 and x.shape[dim] > _MANY:
        x = fine(x)
    return ops.cumsum(x, dim).astype(wanted)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sum of exponentials, in log n rounds of `logaddexp`: the kernel takes NaN and infinities for
    numbers."""
    x = fine(input)
    size, step = x.shape[dim] if x.ndim else 1, 1
    while step < size:
        first, rest = ops.gather(x, ops.arange(step), dim), ops.gather(x, ops.arange(step, size), dim)
        x = ops.concat([first, logaddexp(rest, ops.gather(x, ops.arange(size - step), dim))], dim)
        step = step * 2
    return x.astype(input.dtype)


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours, ``n`` times, with more elements before and after; of booleans whether they differ."""
    if n < 0 or not input.ndim:
        raise ValueError(f"diff: n must not be negative and an axis is needed; received {n} and {input.shape}.")
    if n == 0:
        return input.copy()
    parts = [part for part in (prepend, input, append) if part is not None]
    input = cat(parts, dim) if len(parts) > 1 else input
    for _ in range(n):
        size = input.shape[dim] - 1 if input.shape[dim] > 1 else 0
        after, before = mint.narrow(input, dim, input.shape[dim] - size, size), mint.narrow(input, dim, 0, size)
        input = ops.logical_xor(after, before) if input.dtype == ms.bool_ else after - before
    return input
