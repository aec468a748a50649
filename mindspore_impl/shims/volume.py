"""Pooling and convolution of volumes ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import Tensor, mint, ops

from mindspore_impl.shims.convolution import _each, _edges, check_bias, conv2d, pad
from mindspore_impl.shims.pooling import Sizes, _average, _even_places, _largest, _places, _several

__all__ = ["adaptive_avg_pool3d", "adaptive_max_pool3d", "avg_pool3d", "conv3d", "max_pool3d"]


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Largest value of each window; NaN stays NaN."""
    return _largest(input, _places(input.shape[-3:], kernel_size, stride, padding, dilation, ceil_mode), return_indices)


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window."""
    sizes, kernel = input.shape[-3:], _several(kernel_size, 3)
    for axis in range(3):
        if sizes[axis] < kernel[axis]:
            raise ValueError(f"avg_pool3d: the window {kernel} must not be larger than the volume {sizes}.")
    places = _places(sizes, kernel_size, stride, padding, 1, ceil_mode)
    return _average(input, places, count_include_pad, divisor_override)


def adaptive_avg_pool3d(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Mean of each of even parts of the last three axes; None keeps an axis."""
    return _average(input, _even_places(input.shape[-3:], output_size))


def adaptive_max_pool3d(
    input: Tensor, output_size: int | Sequence[int | None], return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Largest value of each of even parts of the last three axes; None keeps an axis."""
    return _largest(input, _even_places(input.shape[-3:], output_size), return_indices)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution as the sum, over the depth of the kernel, of those of the layers; padding is a number, one for each
    axis, ``same`` or ``valid``."""
    if input.ndim not in (4, 5) or weight.ndim != 5:
        raise ValueError(f"conv3d: a volume and a kernel of 5 axes are needed; received {input.shape}, {weight.shape}.")
    check_bias("conv3d", weight.shape[0], bias)
    volumes = input if input.ndim == 5 else ops.expand_dims(input, 0)
    stride, dilation = _each(stride, 3), _each(dilation, 3)
    if padding == "same" and max(stride) > 1:
        raise ValueError(f"conv3d: padding same needs a stride of 1; received {stride}.")
    if bias is not None and bias.dtype != input.dtype:
        raise TypeError(f"conv3d: input and bias need one dtype; received {input.dtype} and {bias.dtype}.")
    edges = _edges(padding, weight.shape[2:], dilation)
    if min(edges) < 0:
        raise ValueError(f"conv3d: the padding must not be negative; received {padding}.")
    volumes = pad(volumes, (edges[4], edges[5], edges[2], edges[3], edges[0], edges[1]))
    count = (volumes.shape[2] - dilation[0] * (weight.shape[2] - 1) - 1) // stride[0] + 1
    if count < 1:
        raise ValueError(f"conv3d: the kernel {weight.shape} is larger than the padded input {volumes.shape}.")
    total = None
    for depth in range(weight.shape[2]):
        places = ops.arange(count) * stride[0] + depth * dilation[0]
        layers = ops.transpose(ops.gather(volumes, places, 2), (0, 2, 1, 3, 4))
        images = ops.reshape(layers, (-1, *layers.shape[2:]))
        kernel = ops.squeeze(mint.narrow(weight, 2, depth, 1), 2)
        part = conv2d(images, kernel, None, stride[1:], 0, dilation[1:], groups)
        total = part if total is None else total + part
    y = ops.transpose(ops.reshape(total, (volumes.shape[0], count, *total.shape[1:])), (0, 2, 1, 3, 4))
    y = y if bias is None else y + ops.reshape(bias, (1, -1, 1, 1, 1))
    return y if input.ndim == 5 else ops.squeeze(y, 0)
