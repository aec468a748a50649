"""Convolution, padding, resizing and rearranging."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.checks import check_shape
from mindspore_impl.shims.indexing import added_at
from mindspore_impl.shims.pooling import _average, _even_places
from mindspore_impl.shims.sliding import _convolved, _spread

__all__ = [
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "fold",
    "interpolate",
    "pad",
    "unfold",
]


@ops.constexpr
def _each(value: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """One value for each axis."""
    return (value,) * count if isinstance(value, int | float) else tuple(value) * (count // len(value))


@ops.constexpr
def _edges(padding: str | int | tuple[int, ...], kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """Zeros before and after each axis."""
    if padding == "valid":
        return (0,) * (2 * len(kernel))
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple(n for total in totals for n in (total // 2, total - total // 2))
    each = (padding,) * len(kernel) if isinstance(padding, int) else padding
    return tuple(n for n in each for _ in range(2))


def check_bias(name: str, channels: int, bias: Tensor | None) -> None:
    """Refuse a bias that is no vector of one number for each channel.

    Raises:
        ValueError: it is another.
    """
    if bias is not None:
        check_shape(name, "the bias", bias, (channels,))


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of ``(N, C, H, W)`` or ``(C, H, W)``; padding comes before dilation and is a number, one for each
    axis, ``same`` or ``valid``."""
    images = input if input.ndim == 4 else ops.expand_dims(input, 0)
    dilation = _each(dilation, 2)
    edges = _edges(padding, weight.shape[2:], dilation)
    check_bias("a convolution", weight.shape[0], bias)
    y = _convolved(images, weight, bias, _each(stride, 2), edges, dilation, groups)
    return y if input.ndim == 4 else ops.squeeze(y, 0)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of ``(N, C, L)`` or ``(C, L)``, as one of height 1."""
    line = padding if isinstance(padding, str) else (0, _each(padding, 1)[0])
    y = conv2d(
        ops.expand_dims(input, -2),
        ops.expand_dims(weight, -2),
        bias,
        (1, _each(stride, 1)[0]),
        line,
        (1, _each(dilation, 1)[0]),
        groups,
    )
    return ops.squeeze(y, -2)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
) -> Tensor:
    """Transposed convolution of ``(N, C, H, W)`` or ``(C, H, W)``, weight ``(in, out / groups, kH, kW)``."""
    images = input if input.ndim == 4 else ops.expand_dims(input, 0)
    stride, padding, extra, dilation, kernel = (
        _each(stride, 2),
        _each(padding, 2),
        _each(output_padding, 2),
        _each(dilation, 2),
        weight.shape[2:],
    )
    height, width = (
        (images.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel[i] - 1) + extra[i] + 1
        for i in range(2)
    )
    if min(padding) < 0 or min(extra) < 0:
        raise ValueError(
            f"a transposed convolution: padding and output padding must not be negative; received {padding} and {extra}."
        )
    if min(height, width) < 1 or extra[0] >= max(stride[0], dilation[0]) or extra[1] >= max(stride[1], dilation[1]):
        raise ValueError(
            "A transposed convolution needs an output padding below its stride or dilation, and an output of at least 1; "
            f"received output padding {extra}, stride {stride}, dilation {dilation}, and an output {(height, width)}."
        )
    edges = _edges(padding, kernel, dilation)
    check_bias("a transposed convolution", weight.shape[1] * groups, bias)
    y = _spread(images, weight, bias, (height, width), stride, edges, dilation, groups)
    return y if input.ndim == 4 else ops.squeeze(y, 0)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
) -> Tensor:
    """Transposed convolution of ``(N, C, L)`` or ``(C, L)``, as one of height 1."""
    numbers = (
        (1, _each(stride, 1)[0]),
        (0, _each(padding, 1)[0]),
        (0, _each(output_padding, 1)[0]),
        groups,
        (1, _each(dilation, 1)[0]),
    )
    return ops.squeeze(conv_transpose2d(ops.expand_dims(input, -2), ops.expand_dims(weight, -2), bias, *numbers), -2)


def pad(input: Tensor, pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad or, by negative numbers, cut the last axes, the last one first.

    Constants are concatenated and other modes gather: MindSpore's pads read wrong values where a number is negative,
    and from the second execution of a compiled graph on the gradient of `ops.pad` with a constant is that of another
    pad.
    """
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"mode must be constant, reflect, replicate or circular; received {mode!r}.")
    if mode != "constant":
        count = len(pad) // 2
        if count not in (1, 2, 3) or input.ndim not in (count + 1, count + 2):
            raise ValueError(
                f"pad: {mode} pads the last 1, 2 or 3 axes of tensors of one or two axes more; received {pad} and "
                f"{input.shape}."
            )
    if 0 in input.shape and mode != "constant":
        return _padded_nothing(input, pad, mode)
    for i in range(len(pad) // 2):
        axis, before, after = input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
        if mode == "circular" and (before < 0 or after < 0):  # what is cut is cut first, and the rest repeated
            input = ops.gather(input, _places("constant", input.shape[axis], min(before, 0), min(after, 0)), axis)
            before, after = max(before, 0), max(after, 0)
        if mode == "circular" and max(before, after) > input.shape[axis]:
            raise ValueError(f"pad: a circular pad may repeat what is left once; received {pad} of {input.shape}.")
        left = input.shape[axis] + before + after
        if left < 0 or (left == 0 and mode != "constant"):
            raise ValueError(f"pad: {pad} takes more than there is from {input.shape}.")
        if before < 0 or after < 0 or (mode != "constant" and (before or after)):
            kept = (before, after) if mode != "constant" else (min(before, 0), min(after, 0))
            if 0 in input.shape or input.shape[axis] + kept[0] + kept[1] == 0:  # of which `ops.gather` has no gradient
                left = (*input.shape[:axis], input.shape[axis] + kept[0] + kept[1], *input.shape[axis + 1 :])
                input = ops.zeros(left, input.dtype)
            else:
                input = ops.gather(
                    input, _places(mode, input.shape[axis], kept[0], kept[1]), axis
                )  # a copy, not a view
        if mode == "constant":
            input = _framed(input, axis, max(before, 0), max(after, 0), value)
    return input


def _padded_nothing(input: Tensor, pad: tuple[int, ...], mode: str) -> Tensor:
    """`pad` of no elements by those of their own, which an axis without any has not."""
    sizes = list(input.shape)
    for i in range(len(pad) // 2):
        axis, before, after = input.ndim - 1 - i, pad[2 * i], pad[2 * i + 1]
        _places(mode, sizes[axis], before, after)  # which refuses what torch refuses
        if sizes[axis] == 0 and (before or after):
            raise ValueError(f"pad: an axis of no elements cannot be padded; received {pad} of {input.shape}.")
        sizes[axis] = sizes[axis] + before + after
    return ops.zeros(tuple(sizes), input.dtype)


@ops.constexpr
def _places(mode: str, size: int, before: int, after: int) -> Tensor:
    """Where each element along an axis is taken from."""
    places = np.arange(-before, size + after)
    if mode == "replicate":
        places = places.clip(0, size - 1)
    elif mode == "circular":
        places = places % size
    elif mode == "reflect":
        if max(before, after) >= size:
            raise ValueError(f"A reflecting pad must be smaller than the axis; received {before}, {after} of {size}.")
        places = size - 1 - np.abs(size - 1 - np.abs(places))
    return Tensor(places.astype(np.int64))


def _framed(input: Tensor, axis: int, before: int, after: int, value: float | None) -> Tensor:
    """``input`` between constants along one axis."""
    fill = Tensor(0 if value is None else value, input.dtype)
    shape = list(input.shape)
    parts = [input]  # an empty part would make the gradient's kernel fail
    if before:
        parts = [ops.broadcast_to(fill, (*shape[:axis], before, *shape[axis + 1 :])), *parts]
    if after:
        parts = [*parts, ops.broadcast_to(fill, (*shape[:axis], after, *shape[axis + 1 :]))]
    return mint.cat(parts, axis) if len(parts) > 1 else input


def unfold(
    input: Tensor,
    kernel_size: int | tuple[int, ...],
    dilation: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    stride: int | tuple[int, ...] = 1,
) -> Tensor:
    """The windows of ``(N, C, H, W)`` or ``(C, H, W)`` as columns."""
    images = input if input.ndim == 4 else ops.expand_dims(input, 0)
    kernel, dilation, padding, stride = (_each(value, 2) for value in (kernel_size, dilation, padding, stride))
    counts = [
        (images.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    ]
    if min(counts) < 1:
        raise ValueError(f"unfold: the window {kernel} with dilation {dilation} is larger than {input.shape}, padded.")
    if images.shape[0] == 0:
        return ops.zeros((0, images.shape[1] * kernel[0] * kernel[1], counts[0] * counts[1]), input.dtype)
    if not input.is_floating_point():  # which the kernel does not take; float64 holds integers up to 2^53
        return unfold(input.astype(ms.float64), kernel, dilation, padding, stride).astype(input.dtype)
    y = ops.unfold(images, kernel, dilation, padding, stride)
    return y if input.ndim == 4 else ops.squeeze(y, 0)


def fold(
    input: Tensor,
    output_size: int | tuple[int, ...],
    kernel_size: int | tuple[int, ...],
    dilation: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    stride: int | tuple[int, ...] = 1,
) -> Tensor:
    """The sum of the columns at their windows' places, added one by one, so that NaN stays in its place."""
    if input.ndim not in (2, 3):
        raise ValueError(f"fold: columns of 2 axes, or 3 with a batch, are needed; received {input.shape}.")
    size, kernel, dilation, padding, stride = (
        _each(value, 2) for value in (output_size, kernel_size, dilation, padding, stride)
    )
    height, width = size[0] + 2 * padding[0], size[1] + 2 * padding[1]
    places = Tensor(_columns(height, width, kernel, dilation, stride))
    area = kernel[0] * kernel[1]
    channels = input.shape[-2] // area
    columns = ops.reshape(input, (-1, area * input.shape[-1]))
    if places.shape[0] != columns.shape[1]:
        raise ValueError(f"fold: {places.shape[0] // area} columns are needed; received {input.shape[-1]}.")
    image = ops.zeros((columns.shape[0], height * width), input.dtype)
    image = added_at(image, 1, ops.broadcast_to(places, columns.shape), columns)
    image = ops.reshape(image, (*input.shape[:-2], channels, height, width))
    return image[..., padding[0] : height - padding[0], padding[1] : width - padding[1]]


@ops.constexpr
def _columns(height: int, width: int, kernel: tuple, dilation: tuple, stride: tuple) -> tuple[int, ...]:
    """Of each element of the columns its place in the padded image."""
    axes = [
        np.arange(k)[:, None] * d + np.arange(0, length - d * (k - 1), s)
        for length, k, d, s in zip((height, width), kernel, dilation, stride, strict=True)
    ]
    return tuple((axes[0][:, None, :, None] * width + axes[1][None, :, None, :]).ravel().tolist())


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of ``groups`` groups in turn."""
    shape = input.shape
    return ops.reshape(ops.swapaxes(ops.reshape(input, (shape[0], groups, -1, *shape[2:])), 1, 2), shape)


@ops.constexpr
def _taps(
    size: int, out: int, scale: float | None, mode: str, align_corners: bool
) -> tuple[tuple[Tensor, Tensor | None], ...]:
    """Which positions each output mixes, and with what weights; without weights it is a copy."""
    step = size / out if scale is None else 1.0 / scale
    places = np.arange(out)
    if mode in ("nearest", "nearest-exact"):
        source = np.float32(step) * (places + (0.5 if mode == "nearest-exact" else 0.0)).astype(np.float32)
        return ((Tensor(np.minimum(np.floor(source), size - 1).astype(np.int32)), None),)
    source = places * ((size - 1) / max(out - 1, 1)) if align_corners else (places + 0.5) * step - 0.5
    if mode == "bicubic":
        low = np.floor(source)
        t, a = source - low, -0.75
        near, far = (
            (lambda d: ((a + 2) * d - (a + 3)) * d * d + 1),
            (lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a),
        )
        weights = (far(t + 1), near(t), near(1 - t), far(2 - t))
        indices = [low + i for i in (-1, 0, 1, 2)]
    else:
        source = np.maximum(source, 0.0)
        low = np.floor(source)
        weights, indices = (1 - (source - low), source - low), [low, low + 1]
    clipped = [np.clip(index, 0, size - 1).astype(np.int32) for index in indices]
    return tuple((Tensor(index), Tensor(weight)) for index, weight in zip(clipped, weights, strict=True))


def interpolate(
    input: Tensor,
    size: int | tuple[int, ...] | None = None,
    scale_factor: float | tuple[float, ...] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the axes after the second, one after the other: nearest, nearest-exact, linear, bilinear, trilinear,
    bicubic or area."""
    if antialias:
        raise ValueError("antialias is not available.")
    if mode not in ("nearest", "nearest-exact") and not input.is_floating_point():
        raise TypeError(
            f"interpolate: whole numbers are resized by the nearest only; received {input.dtype} and mode {mode}. Cast to float32 and round what comes out."
        )
    axes = {"linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}.get(mode, (3, 4, 5))
    if input.ndim not in axes:
        raise ValueError(f"interpolate: {mode} resizes tensors of {axes} axes; received {input.shape}.")
    count = input.ndim - 2
    factors = None if scale_factor is None else _each(scale_factor, count)
    sizes = (
        _each(size, count)
        if factors is None
        else tuple(math.floor(input.shape[2 + i] * factors[i]) for i in range(count))
    )
    if min(sizes) < 1:
        raise ValueError(f"interpolate: sizes must be above 0; received {sizes}.")
    if mode == "area":
        return _average(input, _even_places(input.shape[2:], sizes))
    y = input
    for i in range(count):
        scale = None if factors is None or recompute_scale_factor else factors[i]
        shape = (-1,) + (1,) * (count - 1 - i)
        total = None
        for index, weight in _taps(input.shape[2 + i], sizes[i], scale, mode, bool(align_corners)):
            part = ops.gather(y, index, 2 + i)
            part = part if weight is None else part * ops.reshape(weight.astype(y.dtype), shape)
            total = part if total is None else total + part
        y = total
    return y
