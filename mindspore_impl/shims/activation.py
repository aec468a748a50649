"""Activations."""

from __future__ import annotations

import math

import mindspore as ms
from mindspore import Tensor, ops

from mindspore_impl.shims.pointwise import fine, floating, log1p, number, single

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]


def _refuse(inplace: bool) -> None:
    if inplace:
        raise ValueError(
            "inplace=True is not available: the adapter returns a new tensor; use what it returns and leave inplace out."
        )


def tanh(input: Tensor) -> Tensor:
    """tanh through float64: the float32 CPU kernel is off by up to 1e-4 for |input| > 3 and leaves [-1, 1]; whole
    numbers become float32."""
    input = floating(input)
    return ops.tanh(fine(input)).astype(input.dtype)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input)); whole numbers become float32."""
    return ops.sigmoid(floating(input))


_ROOT_HALF, _ROOT_TWO_OVER_PI = math.sqrt(0.5), math.sqrt(2.0 / math.pi)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """GELU (Hendrycks and Gimpel 2016): exact, or the tanh form (through the fused operator, which is accurate where
    tanh is not)."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be none or tanh; received {approximate}.")
    if approximate == "tanh":
        return _gelu_tanh(input)
    x = single(input)
    return (x * (ops.erf(x * number(_ROOT_HALF, x)) * 0.5 + 0.5)).astype(input.dtype)


def _gelu_tanh(x: Tensor) -> Tensor:
    return _gelu_double(x) if x.dtype == ms.float64 else ops.gelu(single(x), "tanh").astype(x.dtype)


def _gelu_double(x: Tensor) -> Tensor:
    return x * 0.5 * (ops.tanh((x + x * x * x * number(0.044715, x)) * number(_ROOT_TWO_OVER_PI, x)) + 1.0)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), where NaN stays NaN."""
    _refuse(inplace)
    return ops.where(ops.isnan(input), input, ops.relu(input)) if input.is_floating_point() else ops.relu(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """input between two bounds, where NaN stays NaN and the gradient at the bounds is 0."""
    _refuse(inplace)
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must be at most max_val; received {min_val} and {max_val}.")
    if min_val != min_val or max_val != max_val:
        return ops.full_like(input, math.nan)
    upper = ops.where(input <= number(min_val, input), ops.full_like(input, min_val), input)
    return ops.where(input >= number(max_val, input), ops.full_like(input, max_val), upper)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """input between 0 and 6, where NaN stays NaN."""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input, below 0 times the slope."""
    _refuse(inplace)
    return ops.where(input > 0, input, input * number(negative_slope, input))


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky ReLU whose slope is drawn for each element while training, and is the mean of the bounds otherwise."""
    if lower > upper:
        raise ValueError(f"rrelu: lower must be at most upper; received {lower} and {upper}.")
    if not training:
        return leaky_relu(input, (number(lower, input) + number(upper, input)) * 0.5, inplace)
    _refuse(inplace)
    slope = ops.rand_like(input) * number(upper - lower, input) + number(lower, input)
    return ops.where(input > 0, input, input * slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU with one slope, or one for each channel (axis 1)."""
    if input.ndim > 1 and weight.size > 1:
        weight = ops.reshape(weight, (1, -1) + (1,) * (input.ndim - 2))
    elif input.ndim == 0:
        weight = ops.reshape(weight, ())
    return ops.where(input > 0, input, input * weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input, below 0 alpha (exp(input) - 1)."""
    return _exponential(input, alpha, 1.0, 1.0, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input, below 0 alpha (exp(input / alpha) - 1)."""
    return _exponential(input, alpha, 1.0, alpha, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled ELU (Klambauer et al. 2017)."""
    return _exponential(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0, inplace)


def _exponential(input: Tensor, alpha: float, scale: float, width: float, inplace: bool) -> Tensor:
    _refuse(inplace)
    x = fine(input)
    below = ops.where(x > 0, ops.zeros_like(x), x)
    return (ops.where(x > 0, x, ops.expm1(below / number(width, x)) * number(alpha, x)) * number(scale, x)).astype(
        input.dtype
    )


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input sigmoid(input)."""
    _refuse(inplace)
    return input * ops.sigmoid(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input tanh(softplus(input))."""
    _refuse(inplace)
    x = fine(input)
    return (x * ops.tanh(softplus(x))).astype(input.dtype)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta input)) / beta; input itself where beta input > threshold."""
    x = fine(input)
    scaled = x * number(beta, x)
    linear = scaled > number(threshold, x)
    inside = ops.where(linear, ops.zeros_like(x), scaled)
    return ops.where(linear, x, log1p(ops.exp(inside)) / number(beta, x)).astype(input.dtype)


def logsigmoid(input: Tensor) -> Tensor:
    """log sigmoid(input)."""
    return -softplus(-input, 1.0, 30.0)


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (ops.abs(input) + 1.0)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input moved towards 0 by ``lambd``, where NaN stays NaN."""
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must be at least 0; received {lambd}.")
    edge = number(lambd, input)
    return ops.where(input > edge, input - edge, ops.where(input < -edge, input + edge, input * 0.0))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input, within ``lambd`` of 0 it is 0; NaN stays NaN."""
    return ops.where(ops.abs(input) <= number(lambd, input), ops.zeros_like(input), input)


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    input = floating(input)
    x = fine(input)
    return (x - ops.tanh(x)).astype(input.dtype)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """input + 3 between 0 and 6, by 6."""
    return hardtanh(input + 3.0, 0.0, 6.0, inplace) / number(6.0, input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input hardsigmoid(input)."""
    return input * hardtanh(input + 3.0, 0.0, 6.0, inplace) / number(6.0, input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input, and ``value`` where it is not above the threshold."""
    _refuse(inplace)
    return ops.where(input <= number(threshold, input), ops.full_like(input, value), input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim`` times the sigmoid of the second."""
    first, second = ops.chunk(input, 2, dim)
    return first * ops.sigmoid(second)
