"""Normalization layers."""

from __future__ import annotations

from typing import Any

from mindspore import ops

from mindspore_impl.shims.arithmetic import number
from mindspore_impl.shims.normalization import batch_statistics, instance_statistics
from mindspore_impl.torch_api.autograd import no_grad
from mindspore_impl.torch_api.nn import functional as F
from mindspore_impl.torch_api.nn import init
from mindspore_impl.torch_api.nn.linear import empty_parameter
from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.tensor import Tensor, raw

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "RMSNorm", "batch_norm",
    "instance_norm",
]  # fmt: skip

_batch_norm, _instance_norm = F.batch_norm, F.instance_norm


def _follow(running: Tensor, found: Any, momentum: float) -> None:
    """Move running statistics towards those of a batch."""
    with no_grad():
        held = running.raw
        share = number(momentum, held)
        value = ops.stop_gradient(ops.reshape(found, held.shape)).astype(held.dtype)
        running.write(held * (1.0 - share) + value * share)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch norm; in training the batch's statistics enter the running ones."""
    if not training or running_mean is None or 0 in input.raw.shape:
        return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    y, mean, var = batch_statistics(input.raw, raw(weight), raw(bias), eps)
    _follow(running_mean, mean, momentum)
    _follow(running_var, var, momentum)
    return Tensor(y)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Instance norm; with its own statistics their means enter the running ones."""
    if not use_input_stats or running_mean is None:
        return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    y = _instance_norm(input, None, None, weight, bias, True, momentum, eps)
    mean, var = instance_statistics(input.raw)
    _follow(running_mean, mean, momentum)
    _follow(running_var, var, momentum)
    return y


F.batch_norm, F.instance_norm = batch_norm, instance_norm  # which write what they are given


class _Norm(Module):
    """Parameters and running statistics of channels."""

    dimensions: tuple[int, ...] = ()
    _version = 2

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, empty_parameter(num_features, device=device, dtype=dtype) if wanted else None)
        self._register_statistics(device, dtype)
        self.reset_parameters()

    def _register_statistics(self, device: Any, dtype: Any) -> None:
        from mindspore_impl.torch_api.factories import empty, tensor

        tracked = self.track_running_stats
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, empty(self.num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0) if tracked else None)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *lists: Any) -> None:
        key = f"{prefix}num_batches_tracked"
        if self.track_running_stats and local_metadata.get("version", 1) < 2 and key not in state_dict:
            state_dict[key] = self.num_batches_tracked  # as files of old versions have it
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *lists)

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.dimensions:
            named = " or ".join(f"{count}D" for count in self.dimensions)
            raise ValueError(f"expected {named} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, track_running_stats={self.track_running_stats}"


class _BatchNorm(_Norm):
    """Batch norm (Ioffe and Szegedy 2015)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        share = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                share = 1.0 / float(self.num_batches_tracked)
        fresh = self.training or self.running_mean is None
        followed = not self.training or self.track_running_stats
        means, variances = (self.running_mean, self.running_var) if followed else (None, None)
        return batch_norm(input, means, variances, self.weight, self.bias, fresh, share, self.eps)


class BatchNorm1d(_BatchNorm):
    """Of ``(N, C)`` or ``(N, C, L)``."""

    dimensions = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Of ``(N, C, H, W)``."""

    dimensions = (4,)


class BatchNorm3d(_BatchNorm):
    """Of ``(N, C, D, H, W)``."""

    dimensions = (5,)


class _InstanceNorm(_Norm):
    """Of each channel of each example (Ulyanov et al. 2016)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        alone = input.ndim == self.dimensions[0]
        fresh = self.training or not self.track_running_stats
        x = input.unsqueeze(0) if alone else input
        y = instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, fresh, self.momentum, self.eps
        )
        return y.squeeze(0) if alone else y


class InstanceNorm1d(_InstanceNorm):
    """Of ``(C, L)`` or ``(N, C, L)``."""

    dimensions = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Of ``(C, H, W)`` or ``(N, C, H, W)``."""

    dimensions = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Of ``(C, D, H, W)`` or ``(N, C, D, H, W)``."""

    dimensions = (4, 5)


class LayerNorm(Module):
    """Over the last axes (Ba et al. 2016)."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name, empty_parameter(*shape, device=device, dtype=dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """By the root of the mean square over the last axes."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        weight = empty_parameter(*shape, device=device, dtype=dtype) if elementwise_affine else None
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Over groups of channels (Wu and He 2018)."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError("num_channels must be divisible by num_groups")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, empty_parameter(num_channels, device=device, dtype=dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.affine:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
