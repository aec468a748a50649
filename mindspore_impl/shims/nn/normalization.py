"""Normalization layers."""

from __future__ import annotations

import mindspore as ms
from mindspore import Parameter, Tensor, ops

from mindspore_impl.shims.nn.base import Module, Wrapper, constant, function, several

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class LayerNorm(Module):
    """Layer norm over the last axes; the parameters are called weight and bias, where nn.LayerNorm calls them gamma and
    beta."""

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        self.normalized_shape, self.eps = several(normalized_shape, 1), eps
        self.function = function("layer_norm")
        self.weight = constant(1.0, *self.normalized_shape) if elementwise_affine else None
        self.bias = constant(0.0, *self.normalized_shape) if elementwise_affine and bias else None

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    """Division by the root of the mean square over the last axes."""

    def __init__(
        self, normalized_shape: int | tuple[int, ...], eps: float | None = None, elementwise_affine: bool = True
    ):
        super().__init__()
        self.normalized_shape, self.eps, self.function = several(normalized_shape, 1), eps, function("rms_norm")
        self.weight = constant(1.0, *self.normalized_shape) if elementwise_affine else None

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Normalization over groups of channels; the parameters are called weight and bias."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True
    ):
        super().__init__()
        self.num_groups, self.eps, self.function = num_groups, eps, function("group_norm")
        self.weight = constant(1.0, num_channels) if affine else None
        self.bias = constant(0.0, num_channels) if affine and bias else None

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.num_groups, self.weight, self.bias, self.eps)


class LocalResponseNorm(Wrapper):
    """By the squares in neighbouring channels."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__("local_response_norm", size=size, alpha=alpha, beta=beta, k=k)


class _Norm(Module):
    """Statistics are kept with torch's momentum, which is one minus MindSpore's, and with the unbiased variance."""

    dimensions: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ):
        super().__init__()
        self.eps, self.momentum, self.track_running_stats = eps, momentum, track_running_stats
        self.weight = constant(1.0, num_features) if affine else None
        self.bias = constant(0.0, num_features) if affine and bias else None
        self.running_mean = constant(0.0, num_features, trained=False) if track_running_stats else None
        self.running_var = constant(1.0, num_features, trained=False) if track_running_stats else None
        self.num_batches_tracked = Parameter(Tensor(0, ms.int64), requires_grad=False) if track_running_stats else None

    def construct(self, input: Tensor) -> Tensor:
        if input.ndim not in self.dimensions:
            raise ValueError(f"expected an input with {self.dimensions} axes, got {input.ndim}")
        return self.normalize(input)


class _BatchNorm(_Norm):
    """Batch norm (Ioffe and Szegedy 2015)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)
        self.function = function("batch_norm")

    def normalize(self, input: Tensor) -> Tensor:
        momentum, fresh = self.momentum, self.training or not self.track_running_stats
        if self.training and self.track_running_stats:
            count = ops.assign(self.num_batches_tracked, self.num_batches_tracked + 1)
            input = ops.depend(input, count)
            momentum = 1.0 / count.astype(ms.float32) if momentum is None else momentum
        return self.function(
            input, self.running_mean, self.running_var, self.weight, self.bias, fresh, momentum, self.eps
        )


class BatchNorm1d(_BatchNorm):
    """Batch norm of ``(N, C)`` or ``(N, C, L)``."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of ``(N, C, H, W)``."""

    dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm of ``(N, C, D, H, W)``."""

    dimensions = (5,)


class _InstanceNorm(_Norm):
    """Normalization of each channel of each example; no parameters and no statistics unless asked for."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)
        self.function = function("instance_norm")

    def normalize(self, input: Tensor) -> Tensor:
        fresh = self.training or not self.track_running_stats
        single = input.ndim == self.dimensions[0]
        found = self.function(
            ops.expand_dims(input, 0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            fresh,
            self.momentum,
            self.eps,
        )
        return ops.squeeze(found, 0) if single else found


class InstanceNorm1d(_InstanceNorm):
    """Of ``(N, C, L)`` or ``(C, L)``."""

    dimensions = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Of ``(N, C, H, W)`` or ``(C, H, W)``."""

    dimensions = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Of ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

    dimensions = (4, 5)
