"""Pooling, with or without the batch axis."""

from __future__ import annotations

from typing import Any

from mindspore_impl.shims.nn.base import Module, Wrapper, function

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class MaxPool2d(Wrapper):
    """Largest of each window; nn.MaxPool2d moves by 1 by default."""

    name = "max_pool2d"

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        keywords = {"padding": padding, "dilation": dilation, "ceil_mode": ceil_mode, "return_indices": return_indices}
        super().__init__(self.name, kernel_size=kernel_size, stride=stride, **keywords)


class MaxPool1d(MaxPool2d):
    """Largest of each window along the last axis."""

    name = "max_pool1d"


class AvgPool1d(Wrapper):
    """Mean of each window along the last axis."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        keywords = {"padding": padding, "ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        super().__init__("avg_pool1d", kernel_size=kernel_size, stride=stride, **keywords)


class AvgPool2d(Wrapper):
    """Mean of each window."""

    name = "avg_pool2d"

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        keywords = {
            "padding": padding,
            "ceil_mode": ceil_mode,
            "count_include_pad": count_include_pad,
            "divisor_override": divisor_override,
        }
        super().__init__(self.name, kernel_size=kernel_size, stride=stride, **keywords)


class AdaptiveAvgPool2d(Wrapper):
    """Means over windows that share the input among ``output_size``; None keeps a size."""

    name = "adaptive_avg_pool2d"

    def __init__(self, output_size: Any):
        super().__init__(self.name, output_size=output_size)


class MaxPool3d(MaxPool2d):
    """Largest of each window of a volume."""

    name = "max_pool3d"


class AvgPool3d(AvgPool2d):
    """Mean of each window of a volume."""

    name = "avg_pool3d"


class AdaptiveAvgPool3d(AdaptiveAvgPool2d):
    """Means over windows that share a volume among ``output_size``; None keeps a size."""

    name = "adaptive_avg_pool3d"


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """Means along the last axis; nn.AdaptiveAvgPool1d wants a length that the output size divides."""

    name = "adaptive_avg_pool1d"


class AdaptiveMaxPool2d(Wrapper):
    """Largest values over windows that share the input among ``output_size``."""

    name = "adaptive_max_pool2d"

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__(self.name, output_size=output_size, return_indices=return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """Largest values along the last axis; nn.AdaptiveMaxPool1d wants a length that the output size divides."""

    name = "adaptive_max_pool1d"


class AdaptiveMaxPool3d(AdaptiveMaxPool2d):
    """Largest values over windows that share a volume among ``output_size``."""

    name = "adaptive_max_pool3d"


class LPPool1d(Wrapper):
    """Root of the sum of powers in each window along the last axis."""

    name = "lp_pool1d"

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False):
        super().__init__(self.name, norm_type=norm_type, kernel_size=kernel_size, stride=stride, ceil_mode=ceil_mode)


class LPPool2d(LPPool1d):
    """Root of the sum of powers in each window."""

    name = "lp_pool2d"


class MaxUnpool1d(Module):
    """Values put back where `MaxPool1d` found them, 0 elsewhere."""

    name = "max_unpool1d"

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        super().__init__()
        self.function, self.kernel_size, self.stride, self.padding = function(self.name), kernel_size, stride, padding

    def construct(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        return self.function(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(MaxUnpool1d):
    """Values put back where `MaxPool2d` found them, 0 elsewhere."""

    name = "max_unpool2d"


class MaxUnpool3d(MaxUnpool1d):
    """Values put back where `MaxPool3d` found them, 0 elsewhere."""

    name = "max_unpool3d"
