"""Normalization."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.arithmetic import add, mul, number
from mindspore_impl.shims.checks import check_channels, check_shape
from mindspore_impl.shims.pointwise import single, spread
from mindspore_impl.shims.reduction import _mean as _average
from mindspore_impl.shims.reduction import norm

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]

_mean = ops.ReduceMean(keep_dims=True)


def _normalized(x: Tensor, eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) over the last axis.

    The mean of what is centred takes away the rounding of a mean that is large beside the deviations. It is 0 but for
    that rounding and has no gradient, so that the backward pass centres once.
    """
    centred = x - _mean(x, -1)
    centred = centred - ops.stop_gradient(_mean(centred, -1))
    return centred * ops.rsqrt(_mean(centred * centred, -1) + number(eps, x))


def layer_norm(
    input: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer norm (Ba et al. 2016) over the last axes, of which there are as many as ``normalized_shape`` has sizes."""
    axes = _fitting("layer_norm", input, normalized_shape, weight, bias)
    if 0 in input.shape:
        return _of_nothing(input, weight, bias)
    y = _normalized(single(_joined(input, axes)), eps)
    if axes > 1:
        y = ops.reshape(y, input.shape)
    if weight is not None:
        y = y * weight
    y = y if bias is None else y + bias
    return y if y.dtype == input.dtype else y.astype(input.dtype)


def rms_norm(
    input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input / root mean square over the last axes; eps is that of the dtype unless given."""
    axes = _fitting("rms_norm", input, normalized_shape, weight, None)
    if 0 in input.shape:
        return _of_nothing(input, weight, None)
    x = single(_joined(input, axes))
    eps = number(_epsilon(input.dtype) if eps is None else eps, input)
    y = ops.reshape(x * ops.rsqrt(_mean(x * x, -1) + eps), input.shape)
    return (y if weight is None else y * weight).astype(input.dtype)


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
    """Normalize each channel (axis 1) by the batch's statistics, which then enter the running ones, or by the running
    ones."""
    if not training and (running_mean is None or running_var is None):
        raise ValueError("batch_norm: without training, running_mean and running_var are needed.")
    if input.ndim < 2:
        raise ValueError(f"batch_norm: at least two axes are needed; received {input.shape}.")
    check_channels(
        "batch_norm", input.shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if 0 in input.shape:
        return _scaled(input, weight, bias)
    if training:
        y, mean, var = batch_statistics(input, weight, bias, eps)
        if running_mean is not None:
            _follow(running_mean, mean, momentum)
            _follow(running_var, var, momentum)
        return y
    x = single(input)
    var = _channels(single(running_var), input.ndim)
    centred = x - _channels(running_mean, input.ndim)
    return _scaled(centred * ops.rsqrt(var + number(eps, x)), weight, bias).astype(input.dtype)


def batch_statistics(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm by the batch's own statistics: the result, and the mean and the unbiased variance of each channel."""
    x, others = single(input), (0, *range(2, input.ndim))
    count = input.size // input.shape[1]
    if count == 1:
        raise ValueError(f"batch_norm: one value for each channel has no variance; received {input.shape}.")
    mean = _average(x, others, True)
    centred = x - mean
    var = _average(centred * centred, others, True)
    y = _scaled(centred * ops.rsqrt(var + number(eps, x)), weight, bias).astype(input.dtype)
    return y, mean, var * (count / (count - 1))


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalize each group of channels of each sample; eps in the input's dtype."""
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups} groups do not divide the channels of {input.shape}.")
    check_channels("group_norm", input.shape[1], weight=weight, bias=bias)
    if 0 in input.shape:
        return _scaled(input, weight, bias)
    if input.size == input.shape[0] * num_groups:
        raise ValueError(f"group_norm: one value for each group has no variance; received {input.shape}.")
    groups = ops.reshape(single(input), (input.shape[0], num_groups, -1))
    return _scaled(ops.reshape(_normalized(groups, eps), input.shape), weight, bias).astype(input.dtype)


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
    """Normalize each channel of each sample by its own statistics, of which the batch's mean then enters the running
    ones, or by the running ones."""
    check_channels(
        "instance_norm", input.shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.size == input.shape[0] * input.shape[1]:
        raise ValueError(f"instance_norm: one value for each channel has no variance; received {input.shape}.")
    if running_mean is not None:
        mean, var = instance_statistics(input)
        _follow(running_mean, mean, momentum)
        _follow(running_var, var, momentum)
    x = ops.reshape(single(input), (*input.shape[:2], -1))
    return _scaled(ops.reshape(_normalized(x, eps), input.shape), weight, bias).astype(input.dtype)


def instance_statistics(input: Tensor) -> tuple[Tensor, Tensor]:
    """The batch's mean of each channel's mean and unbiased variance."""
    x = ops.reshape(single(input), (*input.shape[:2], -1))
    mean = _mean(x, -1)
    centred = x - mean
    return mean.mean(0), (centred * centred).sum(-1).mean(0) / (x.shape[-1] - 1)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """input / (k + alpha mean of the squares in ``size`` neighbouring channels)^beta, channels beyond the edge counting
    as 0."""
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: at least three axes are needed; received {input.shape}.")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be above 0; received {size}.")
    width = input.shape[1]
    squares = input * input
    before, after = (
        ops.zeros((input.shape[0], n, *input.shape[2:]), input.dtype)
        for n in (max(size // 2, 1), max((size - 1) // 2, 1))
    )
    padded = ops.concat([before, squares, after], 1)
    first = max(size // 2, 1) - size // 2
    total = padded[:, first : first + width]
    for i in range(1, size):
        total = total + padded[:, first + i : first + i + width]
    if not input.is_floating_point():  # torch's mean of whole numbers is cut
        x = input.astype(ms.float32)
        return x / (ops.floor(total.astype(ms.float64) / size).astype(ms.float32) * alpha + k) ** beta
    return input / (total * number(alpha, input) / size + number(k, input)) ** number(beta, input)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(p-norm over ``dim``, eps)."""
    x = single(input)
    length = norm(x, p, dim, True)
    small = length < number(eps, length)  # NaN is not
    return (x / ops.where(small, ops.full_like(length, eps), length)).astype(input.dtype)


@ops.constexpr
def _epsilon(dtype: ms.Type) -> float:
    return {"Float16": 2.0**-10, "BFloat16": 2.0**-7, "Float64": 2.0**-52}.get(str(dtype), 2.0**-23)


def _fitting(name: str, input: Tensor, normalized_shape, weight: Tensor | None, bias: Tensor | None) -> int:
    """How many axes ``normalized_shape`` names, which must be the last ones of ``input``, and the parameters' shape."""
    axes = len(normalized_shape)
    if axes < 1 or tuple(input.shape[input.ndim - axes :]) != tuple(normalized_shape):
        raise ValueError(
            f"{name}: normalized_shape must be the last sizes of {input.shape}; received {normalized_shape}."
        )
    if weight is not None:
        check_shape(name, "the weight", weight, normalized_shape)
    if bias is not None:
        check_shape(name, "the bias", bias, normalized_shape)
    return axes


def _of_nothing(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """An empty result, in which the parameters have the gradient 0."""
    y = x if weight is None else x * spread(weight, x.shape)
    return (y if bias is None else y + spread(bias, x.shape)).astype(x.dtype)


def _joined(x: Tensor, count: int) -> Tensor:
    """The last ``count`` axes as one."""
    return x if count == 1 else ops.reshape(x, (*x.shape[: x.ndim - count], -1))


def _channels(x: Tensor, ndim: int) -> Tensor:
    return ops.reshape(x, (1, -1) + (1,) * (ndim - 2))


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        x = mul(x, _channels(weight, x.ndim))
    return x if bias is None else add(x, _channels(bias, x.ndim))


def _follow(running: Tensor, value: Tensor, momentum: float) -> None:
    share = number(momentum, running)
    kept = running * (1.0 - share) + ops.reshape(value, running.shape).astype(running.dtype) * share
    ops.assign(running, ops.stop_gradient(kept))
