"""Start values, under the names and with the distributions of `torch.nn.init`. The numbers are MindSpore's own and
follow ``ms.set_seed``."""

from __future__ import annotations

import math
from typing import Any

from mindspore import Parameter, Tensor
from mindspore.common.initializer import (
    Constant,
    Dirac,
    HeNormal,
    HeUniform,
    Identity,
    Normal,
    Orthogonal,
    Uniform,
    XavierNormal,
    XavierUniform,
    initializer,
)

__all__ = ["calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_"]
__all__ += ["orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_"]


def _set(tensor: Tensor, values: Any) -> Tensor:
    """Give ``tensor`` new values and return it."""
    values = initializer(values, tensor.shape, tensor.dtype).init_data() if not isinstance(values, Tensor) else values
    if isinstance(tensor, Parameter):
        tensor.set_data(values)
    else:
        tensor.copy_(values)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b]."""
    drawn = initializer(Uniform((b - a) / 2), tensor.shape, tensor.dtype).init_data()
    return _set(tensor, drawn + (a + b) / 2)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal."""
    return _set(tensor, Normal(std, mean))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, limited to [a, b]: by the inverse of the distribution function, as in torch."""
    low, high = (math.erf((limit - mean) / std / math.sqrt(2)) for limit in (a, b))
    drawn = initializer(Uniform((high - low) / 2), tensor.shape, tensor.dtype).init_data() + (low + high) / 2
    return _set(tensor, (drawn.erfinv() * (std * math.sqrt(2)) + mean).clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    return _set(tensor, Constant(val))


def ones_(tensor: Tensor) -> Tensor:
    """One everywhere."""
    return constant_(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Zero everywhere."""
    return constant_(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    return _set(tensor, Identity())


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity of a convolution."""
    return _set(tensor, Dirac(groups))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """An orthogonal matrix."""
    return _set(tensor, Orthogonal(gain))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform, Glorot and Bengio (2010)."""
    return _set(tensor, XavierUniform(gain))


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal, Glorot and Bengio (2010)."""
    return _set(tensor, XavierNormal(gain))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform, He et al. (2015)."""
    return _set(tensor, HeUniform(a, mode, nonlinearity))


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal, He et al. (2015)."""
    return _set(tensor, HeNormal(a, mode, nonlinearity))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The gain for a nonlinearity.

    Raises:
        ValueError: it is not one of torch's.
    """
    slope = 0.01 if param is None else param
    gains = {
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
        "sigmoid": 1.0,
        "linear": 1.0,
    }
    if nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {', '.join(gains)} or a convolution; received {nonlinearity!r}")
    return gains[nonlinearity]
