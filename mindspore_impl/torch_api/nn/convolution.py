"""Convolutions."""

from __future__ import annotations

import math
from typing import Any

from mindspore_impl.torch_api.nn import functional as F
from mindspore_impl.torch_api.nn import init
from mindspore_impl.torch_api.nn.linear import empty_parameter
from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d"]


def _several(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,) * count


class _Convolution(Module):
    """Weights and start values of convolutions over ``axes`` axes."""

    axes, transposed = 1, False

    def _build(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError("in_channels and out_channels must be divisible by groups")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(f"padding_mode must be zeros, reflect, replicate or circular; received {padding_mode}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = (
            in_channels,
            out_channels,
            groups,
            padding_mode,
        )
        self.kernel_size, self.stride, self.dilation = (
            _several(value, self.axes) for value in (kernel_size, stride, dilation)
        )
        self.padding = padding if isinstance(padding, str) else _several(padding, self.axes)
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = empty_parameter(outer, inner // groups, *self.kernel_size, device=device, dtype=dtype)
        self.register_parameter("bias", empty_parameter(out_channels, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        return f"{text}, padding={self.padding}" if any(self.padding) else text


class _Forward(_Convolution):
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
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self._build(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def _sides(self) -> list[int]:
        """How much is added before and after each axis, the last axis first, as `F.pad` takes it."""
        sides = []
        for size, dilation, padding in zip(
            self.kernel_size,
            self.dilation,
            self.padding if self.padding not in ("same", "valid") else self.kernel_size,
            strict=False,
        ):
            whole = dilation * (size - 1) if self.padding == "same" else 0
            pair = (padding, padding) if isinstance(self.padding, tuple) else (whole // 2, whole - whole // 2)
            sides.append(pair)
        return [side for pair in reversed(sides) for side in pair]

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._sides(), self.padding_mode), 0
        function = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Forward):
    """Cross-correlation over one axis."""


class Conv2d(_Forward):
    """Cross-correlation over two axes."""

    axes = 2


class Conv3d(_Forward):
    """Cross-correlation over three axes."""

    axes = 3


class _Transposed(_Convolution):
    transposed = True

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
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self.output_padding = _several(output_padding, self.axes)
        self._build(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def _extra(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that gives ``output_size``."""
        if output_size is None:
            return self.output_padding
        sizes = tuple(output_size)[-self.axes :]
        least = [
            (input.shape[axis - self.axes] - 1) * self.stride[axis]
            - 2 * self.padding[axis]
            + self.dilation[axis] * (self.kernel_size[axis] - 1)
            + 1
            for axis in range(self.axes)
        ]
        extra = tuple(size - start for size, start in zip(sizes, least, strict=True))
        if not all(0 <= more < stride for more, stride in zip(extra, self.stride, strict=True)):
            raise ValueError(f"requested an output size of {sizes}, but the least size is {least}")
        return extra

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        function = (F.conv_transpose1d, F.conv_transpose2d)[self.axes - 1]
        extra = self._extra(input, output_size)
        return function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose1d(_Transposed):
    """The gradient of a cross-correlation over one axis."""


class ConvTranspose2d(_Transposed):
    """The gradient of a cross-correlation over two axes."""

    axes = 2
