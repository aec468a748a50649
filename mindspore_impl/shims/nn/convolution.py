"""Convolutions, paddings, resizing and rearranging."""

from __future__ import annotations

import math
from typing import Any

from mindspore import Tensor

from mindspore_impl.shims.nn.base import Module, Wrapper, function, several, uniform

__all__ = [
    "ChannelShuffle",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Fold",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Unfold",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Conv(Module):
    """Convolution over the last axes; weight ``(out, in / groups, *kernel)``. nn.Conv1d and nn.Conv2d pad to the same
    size unless they are told not to."""

    axes = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ):
        super().__init__()
        kernel, self.stride, self.dilation = (several(value, self.axes) for value in (kernel_size, stride, dilation))
        self.padding, self.groups, self.padding_mode = padding, groups, padding_mode
        self.function, self.pad, self.around = function(f"conv{self.axes}d"), function("pad"), ()
        if padding_mode != "zeros":
            for axis in range(self.axes - 1, -1, -1):  # the last axis comes first
                reach = self.dilation[axis] * (kernel[axis] - 1)
                same = [reach // 2, reach - reach // 2] if padding == "same" else [0, 0]
                self.around += tuple(same if isinstance(padding, str) else [several(padding, self.axes)[axis]] * 2)
            self.padding = 0
        bound = 1.0 / math.sqrt(in_channels // groups * math.prod(kernel))
        self.weight = uniform(bound, out_channels, in_channels // groups, *kernel)
        self.bias = uniform(bound, out_channels) if bias else None

    def construct(self, input: Tensor) -> Tensor:
        if self.padding_mode != "zeros":
            input = self.pad(input, self.around, self.padding_mode)
        return self.function(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Convolution of ``(N, C, L)`` or ``(C, L)``."""

    axes = 1


class Conv2d(_Conv):
    """Convolution of ``(N, C, H, W)`` or ``(C, H, W)``."""

    axes = 2


class _ConvTranspose(Module):
    """The adjoint of a convolution; weight ``(in, out / groups, *kernel)``."""

    axes = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
    ):
        super().__init__()
        kernel = several(kernel_size, self.axes)
        self.function = function(f"conv_transpose{self.axes}d")
        self.options = (stride, padding, output_padding, groups, dilation)
        bound = 1.0 / math.sqrt(out_channels // groups * math.prod(kernel))
        self.weight = uniform(bound, in_channels, out_channels // groups, *kernel)
        self.bias = uniform(bound, out_channels) if bias else None

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.weight, self.bias, *self.options)


class Conv3d(_Conv):
    """Convolution of ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

    axes = 3


class ConvTranspose1d(_ConvTranspose):
    """To ``(N, C, L)`` or ``(C, L)``."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """To ``(N, C, H, W)`` or ``(C, H, W)``."""

    axes = 2


class _Pad(Wrapper):
    """Values put around the last axes; a negative width cuts."""

    axes, mode = 1, "constant"

    def __init__(self, padding: Any):
        super().__init__("pad", pad=several(padding, 2 * self.axes), mode=self.mode)


class ConstantPad1d(Wrapper):
    """One value around the last axis."""

    axes = 1

    def __init__(self, padding: Any, value: float):
        super().__init__("pad", pad=several(padding, 2 * self.axes), mode="constant", value=value)


class ConstantPad2d(ConstantPad1d):
    """One value around the last two axes."""

    axes = 2


class ConstantPad3d(ConstantPad1d):
    """One value around the last three axes."""

    axes = 3


class ZeroPad1d(_Pad):
    """Zeros around the last axis."""


class ZeroPad2d(_Pad):
    """Zeros around the last two axes."""

    axes = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three axes."""

    axes = 3


class ReflectionPad1d(_Pad):
    """The last axis mirrored at its ends."""

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """The last two axes mirrored at their ends."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """The last three axes mirrored at their ends."""

    axes = 3


class ReplicationPad1d(_Pad):
    """The ends of the last axis repeated."""

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The ends of the last two axes repeated."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """The ends of the last three axes repeated."""

    axes = 3


class CircularPad1d(_Pad):
    """The last axis as a ring."""

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """The last two axes as rings."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """The last three axes as rings."""

    axes = 3


class ChannelShuffle(Wrapper):
    """Channels distributed over groups in turn."""

    def __init__(self, groups: int):
        super().__init__("channel_shuffle", groups=groups)


class UpsamplingNearest2d(Wrapper):
    """Resized by repeating elements."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__("interpolate", size=size, scale_factor=scale_factor, mode="nearest")


class UpsamplingBilinear2d(Wrapper):
    """Resized by weights of four neighbours, corners on corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__("interpolate", size=size, scale_factor=scale_factor, mode="bilinear", align_corners=True)


class Upsample(Wrapper):
    """Resized to a size or by a factor."""

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
    ):
        super().__init__("interpolate", size=size, scale_factor=scale_factor, mode=mode, align_corners=align_corners)


class PixelShuffle(Wrapper):
    """Channels become pixels."""

    def __init__(self, upscale_factor: int):
        super().__init__("pixel_shuffle", upscale_factor=upscale_factor)


class PixelUnshuffle(Wrapper):
    """Pixels become channels."""

    def __init__(self, downscale_factor: int):
        super().__init__("pixel_unshuffle", downscale_factor=downscale_factor)


class Unfold(Wrapper):
    """Windows become columns."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__("unfold", kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)


class Fold(Wrapper):
    """Columns are added up in their windows."""

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        super().__init__(
            "fold", output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
        )
