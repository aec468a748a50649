"""Convolutions on the CPU as one matrix product over all windows.

MindSpore's `Conv2D` and `Conv2DTranspose` give oneDNN plain layouts on the CPU. It has no kernel of its own for these
but for windows of one pixel, and takes its reference implementation, a loop that makes half a GFLOP a second. Here the
pixels of every window are gathered, and a product does the rest (docs/performance.md).

Images are rows of pixels, ``(batch * height * width, channels)``; a window is a list of rows, of which those outside of
its image are one row behind the last.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from mindspore_impl.shims.pointwise import spread

__all__: list[str] = []

_LARGEST = 2**28  # entries of all windows, 1 GiB of float32; more of them go through MindSpore's own kernel
_product, _bias_add = ops.MatMul(transpose_b=True), ops.BiasAdd()
_products, _products_of_groups = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul()


@ops.constexpr
def _by_products(entries: int) -> bool:
    """Whether windows of so many entries are gathered."""
    return ms.get_context("device_target") == "CPU" and entries <= _LARGEST


@ops.constexpr
def _counts(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    edges: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """Number of windows along each axis; ``edges`` are the zeros before and after each.

    Raises:
        ValueError: there is no window.
    """
    if min(stride + dilation) < 1 or min(edges) < 0:
        raise ValueError(
            "A convolution's stride and dilation are at least 1 and its padding at least 0; received "
            f"{stride}, {dilation} and {edges}."
        )
    found = []
    for axis, size in enumerate(sizes):
        free = size + edges[2 * axis] + edges[2 * axis + 1] - dilation[axis] * (kernel[axis] - 1) - 1
        if free < 0:
            raise ValueError(f"A kernel is at most as large as the padded input; received {kernel} for {sizes}.")
        found.append(free // stride[axis] + 1)
    return tuple(found)


@ops.constexpr
def _rows(
    batch: int,
    sizes: tuple[int, int],
    counts: tuple[int, int],
    kernel: tuple[int, int],
    edges: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """The rows of every window, int32, of all windows of the first image first."""
    at: list[np.ndarray] = [
        np.arange(counts[axis])[:, None] * stride[axis] + np.arange(kernel[axis]) * dilation[axis] - edges[2 * axis]
        for axis in (0, 1)
    ]
    line, place = at[0][:, None, :, None], at[1][None, :, None, :]
    inside = (line >= 0) & (line < sizes[0]) & (place >= 0) & (place < sizes[1])
    image = np.arange(batch).reshape(-1, 1, 1, 1, 1) * (sizes[0] * sizes[1])
    rows = np.where(inside, image + line * sizes[1] + place, batch * sizes[0] * sizes[1])
    return Tensor(rows.reshape(-1).astype(np.int32))


def _pixels(images: Tensor) -> Tensor:
    """``(batch, channels, height, width)`` as rows."""
    return ops.reshape(ops.transpose(images, (0, 2, 3, 1)), (-1, images.shape[1]))


def _images(pixels: Tensor, bias: Tensor | None, batch: int, sizes: tuple[int, int]) -> Tensor:
    """The reverse, with a bias for each channel."""
    pixels = pixels if bias is None else _bias_add(pixels, bias)
    return ops.transpose(ops.reshape(pixels, (batch, *sizes, pixels.shape[1])), (0, 3, 1, 2))


def _with_bias(images: Tensor, bias: Tensor | None) -> Tensor:
    return images if bias is None else images + spread(ops.reshape(bias, (-1, 1, 1)), images.shape)


def _convolved(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    edges: tuple[int, ...],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    """``(batch, channels, height, width)`` to ``(batch, filters, height, width)`` with a weight ``(filters, channels /
    groups, kH, kW)``."""
    batch, channels, sizes = images.shape[0], images.shape[1], images.shape[2:]
    filters, inputs, kernel = weight.shape[0], weight.shape[1], weight.shape[2:]
    _check(weight, channels, inputs * groups, filters, groups)
    counts = _counts(sizes, kernel, edges, stride, dilation)
    area, windows = kernel[0] * kernel[1], batch * counts[0] * counts[1]
    if not _by_products(windows * area * channels):
        operator = ops.Conv2D(
            filters, kernel, pad_mode="pad", pad=edges, stride=stride, dilation=dilation, group=groups
        )
        return _with_bias(operator(images, weight), bias)
    if windows == 0:
        return _with_bias(ops.zeros((batch, filters, *counts), images.dtype), bias)
    rows = _rows(batch, sizes, counts, kernel, edges, stride, dilation)
    found = ops.gather(ops.cat((_pixels(images), ops.zeros((1, channels), images.dtype))), rows, 0)
    if groups == 1:
        last = ops.reshape(ops.transpose(weight, (0, 2, 3, 1)), (filters, area * channels))
        return _images(_product(ops.reshape(found, (windows, area * channels)), last), bias, batch, counts)
    found = ops.transpose(ops.reshape(found, (windows, area, groups, inputs)), (2, 0, 1, 3))
    last = ops.transpose(ops.reshape(weight, (groups, filters // groups, inputs, area)), (0, 1, 3, 2))
    shares = _products(
        ops.reshape(found, (groups, windows, area * inputs)),
        ops.reshape(last, (groups, filters // groups, area * inputs)),
    )
    return _images(ops.reshape(ops.transpose(shares, (1, 0, 2)), (windows, filters)), bias, batch, counts)


def _spread(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    sizes: tuple[int, int],
    stride: tuple[int, int],
    edges: tuple[int, ...],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    """The transposed convolution: ``(batch, channels, height, width)`` to ``(batch, filters, *sizes)`` with a weight
    ``(channels, filters / groups, kH, kW)``. Every pixel is multiplied to a window, and windows are added up."""
    batch, channels, counts = images.shape[0], images.shape[1], images.shape[2:]
    outputs, kernel = weight.shape[1], weight.shape[2:]
    filters, area, windows = outputs * groups, kernel[0] * kernel[1], batch * counts[0] * counts[1]
    _check(weight, channels, weight.shape[0], filters, groups)
    if not _by_products(windows * area * filters):
        operator = ops.Conv2DTranspose(
            channels, kernel, pad_mode="pad", pad=edges, stride=stride, dilation=dilation, group=groups
        )
        return _with_bias(operator(images, weight, (batch, filters, *sizes)), bias)
    if windows == 0:
        return _with_bias(ops.zeros((batch, filters, *sizes), images.dtype), bias)
    last = ops.transpose(ops.reshape(weight, (groups, channels // groups, outputs, area)), (0, 1, 3, 2))
    given = ops.reshape(_pixels(images), (windows, groups, channels // groups))
    shares = _products_of_groups(
        ops.transpose(given, (1, 0, 2)), ops.reshape(last, (groups, channels // groups, area * outputs))
    )
    shares = ops.transpose(ops.reshape(shares, (groups, windows * area, outputs)), (1, 0, 2))
    rows = _rows(batch, sizes, counts, kernel, edges, stride, dilation)
    count = batch * sizes[0] * sizes[1]
    found = ops.unsorted_segment_sum(ops.reshape(shares, (windows * area, filters)), rows, count + 1)[:count]
    return _images(found, bias, batch, sizes)


def _check(weight: Tensor, channels: int, expected: int, filters: int, groups: int) -> None:
    if 0 in weight.shape:  # of which torch's answer has a shape of its own
        raise ValueError(f"A convolution's weight has at least one entry; received one of {weight.shape}.")
    if channels != expected or channels % groups or filters % groups:
        raise ValueError(
            f"A convolution with {filters} filters in {groups} groups needs {expected} channels, and numbers of both "
            f"that are multiples of the groups; received {channels} channels."
        )
