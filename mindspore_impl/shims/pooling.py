"""Pooling: the windows of each axis are gathered by positions that are worked out when the call is built, whatever
their size, distance or overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from mindspore_impl.shims.pointwise import floating, number, root, single

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "lp_pool1d",
    "lp_pool2d",
    "max_pool1d",
    "max_pool2d",
]

Sizes = int | Sequence[int]
_NEGATIVE = float("-inf")


@ops.constexpr
def _places(
    sizes: Sequence[int], kernel: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple:
    """Of each axis the positions ``[output][of window]``, -1 outside the input; and how much of each window lies in the
    padded input."""
    count = len(sizes)
    kernel, padding, dilation = (_several(value, count) for value in (kernel, padding, dilation))
    stride = kernel if stride is None or stride == () else _several(stride, count)
    axes = []
    for size, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True):
        if k < 1 or s < 1 or d < 1 or not 0 <= p <= (d * (k - 1) + 1) // 2:
            raise ValueError(
                f"pooling: kernel_size, stride and dilation must be above 0 and padding at most half the window; received {k}, {s}, {d} and {p}."
            )
        room = size + 2 * p - d * (k - 1) - 1
        out = (math.ceil(room / s) if ceil_mode else room // s) + 1
        if ceil_mode and (out - 1) * s >= size + p:  # a window may not start in the padding at the end
            out -= 1
        starts = [o * s - p for o in range(out)]
        positions = [[start + i * d if 0 <= start + i * d < size else -1 for i in range(k)] for start in starts]
        axes.append((positions, [min(start + k, size + p) - start for start in starts]))
    return _tables(sizes, axes)


@ops.constexpr
def _even_places(sizes: Sequence[int], outputs: int | Sequence[int | None]) -> tuple:
    """The same for windows that divide an axis as evenly as whole numbers allow."""
    axes = []
    for size, out in zip(sizes, _several(outputs, len(sizes)), strict=True):
        out = size if out is None else out
        if out < 0:
            raise ValueError(f"pooling: output sizes must not be negative; received {out}.")
        bounds = [(o * size // out, -(-(o + 1) * size // out)) for o in range(out)]
        longest = max(end - start for start, end in bounds)
        axes.append(
            (
                [[start + i if start + i < end else -1 for i in range(longest)] for start, end in bounds],
                [end - start for start, end in bounds],
            )
        )
    return _tables(sizes, axes)


def _several(value: Sizes, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value) * (count // len(value))


def _tables(sizes: Sequence[int], axes: Sequence) -> tuple:
    """Positions per axis for the gather; and over (outputs, window) where they are inside, where they lie in the flat
    image, and the windows' sizes."""
    count = len(sizes)
    tables = [np.array(positions, np.int64) for positions, _ in axes]
    inside, flat, extent = True, 0, 1.0
    for i, ((_, lengths), table) in enumerate(zip(axes, tables, strict=True)):
        spread = np.expand_dims(
            table, [j for j in range(2 * count) if j not in (i, count + i)]
        )  # outputs first, then what is in a window
        inside, flat = inside & (spread >= 0), flat * sizes[i] + spread
        extent = extent * np.expand_dims(np.array(lengths, np.float32), [j for j in range(count) if j != i])
    outputs = inside.shape[:count]
    return (
        tuple(Tensor(np.maximum(table, 0), ms.int32) for table in tables),
        Tensor(inside.reshape(*outputs, -1)),
        Tensor(flat.reshape(*outputs, -1)),
        Tensor(extent),
    )


def _windows(x: Tensor, places: tuple, inside: Tensor, fill: float) -> Tensor:
    """``(..., outputs, window)`` of ``(..., axes)``."""
    count = len(places)
    lead = x.ndim - count
    shape = x.shape[:lead]
    for i in range(count):
        x = ops.gather(x, places[i], lead + 2 * i)
    x = ops.transpose(
        x, tuple(range(lead)) + tuple(range(lead, lead + 2 * count, 2)) + tuple(range(lead + 1, lead + 2 * count, 2))
    )
    x = ops.reshape(x, shape + inside.shape)
    return ops.where(inside, x, ops.full_like(x, fill))


def _check_axes(input: Tensor, count: int) -> None:
    if input.ndim not in (count + 1, count + 2):
        raise ValueError(f"pooling: channels and {count} axes are needed, batched or not; received {input.shape}.")


def _largest(input: Tensor, tables: tuple, return_indices: bool) -> Tensor | tuple[Tensor, Tensor]:
    places, inside, flat, _ = tables
    _check_axes(input, len(places))
    windows = _windows(input, places, inside, _NEGATIVE)
    missing = ops.isnan(windows)
    first = ops.where(missing.any(-1), missing.astype(ms.int32).argmax(-1), windows.argmax(-1))
    index = ops.expand_dims(first, -1)
    values = ops.squeeze(ops.gather_elements(windows, windows.ndim - 1, index), -1)
    if not return_indices:
        return values
    return values, ops.squeeze(ops.gather_elements(ops.broadcast_to(flat, windows.shape), windows.ndim - 1, index), -1)


def _average(
    input: Tensor, tables: tuple, count_include_pad: bool = True, divisor_override: int | None = None
) -> Tensor:
    places, inside, _, extent = tables
    _check_axes(input, len(places))
    if divisor_override == 0:
        raise ValueError("avg_pool: divisor_override must not be 0.")
    if input.dtype == ms.bool_:
        raise TypeError("avg_pool: booleans are not averaged.")
    if input.size:
        total = single(_windows(input, places, inside, 0)).sum(-1)
    else:  # of which the kernel makes what happens to be in memory
        total = ops.zeros((*input.shape[: input.ndim - len(places)], *inside.shape[:-1]), single(input).dtype)
    if divisor_override is not None:
        return _shared(total, ops.full((), divisor_override, dtype=ms.float32), input)
    return _shared(total, extent if count_include_pad else inside.astype(ms.float32).sum(-1), input)


def _shared(total: Tensor, count: Tensor, input: Tensor) -> Tensor:
    """Divided in the dtype of ``input``, whole numbers towards 0."""
    if input.is_floating_point():
        return (total / count.astype(total.dtype)).astype(input.dtype)
    return ops.trunc(total.astype(ms.float64) / count.astype(ms.float64)).astype(input.dtype)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Largest value of each window of ``(..., L)``; NaN stays NaN."""
    return _largest(input, _places(input.shape[-1:], kernel_size, stride, padding, dilation, ceil_mode), return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Largest value of each window of ``(..., H, W)``; NaN stays NaN."""
    return _largest(input, _places(input.shape[-2:], kernel_size, stride, padding, dilation, ceil_mode), return_indices)


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean of each window of ``(..., L)``."""
    return _average(input, _places(input.shape[-1:], kernel_size, stride, padding, 1, ceil_mode), count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window of ``(..., H, W)``."""
    return _average(
        input,
        _places(input.shape[-2:], kernel_size, stride, padding, 1, ceil_mode),
        count_include_pad,
        divisor_override,
    )


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """Mean of each of ``output_size`` even parts of the last axis."""
    return _average(input, _even_places(input.shape[-1:], output_size))


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each of even parts of the last two axes; None keeps an axis."""
    return _average(input, _even_places(input.shape[-2:], output_size))


def adaptive_max_pool1d(
    input: Tensor, output_size: Sizes, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Largest value of each of ``output_size`` even parts of the last axis."""
    return _largest(input, _even_places(input.shape[-1:], output_size), return_indices)


def adaptive_max_pool2d(
    input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Largest value of each of even parts of the last two axes; None keeps an axis."""
    return _largest(input, _even_places(input.shape[-2:], output_size), return_indices)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of the powers of each window of ``(..., L)``)^(1 / norm_type)."""
    return _powers(input, norm_type, kernel_size, _places(input.shape[-1:], kernel_size, stride, 0, 1, ceil_mode))


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of the powers of each window of ``(..., H, W)``)^(1 / norm_type)."""
    return _powers(input, norm_type, kernel_size, _places(input.shape[-2:], kernel_size, stride, 0, 1, ceil_mode))


def _powers(input: Tensor, norm_type: float, kernel_size: Sizes, tables: tuple) -> Tensor:
    """torch takes a window that is cut at the edge for a whole one, whose mean is that of the part."""
    input = floating(input)
    powers = input * input if norm_type == 2 else input ** number(norm_type, input)
    return root(_average(powers, tables) * _area(kernel_size, len(tables[0])), norm_type)


@ops.constexpr
def _area(kernel_size: Sizes, count: int) -> int:
    return math.prod(_several(kernel_size, count))
