"""Activations."""

from __future__ import annotations

from mindspore import Tensor

from mindspore_impl.shims.nn.base import Module, Wrapper, constant, function

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Plain(Wrapper):
    """A function without arguments."""

    name = ""

    def __init__(self):
        super().__init__(self.name)


class _InPlace(Wrapper):
    """A function that torch can also write into its input."""

    name = ""

    def __init__(self, inplace: bool = False):
        super().__init__(self.name, inplace)


class _Axis(Wrapper):
    """A function along one axis."""

    name = ""

    def __init__(self, dim: int | None = None):
        super().__init__(self.name, dim=dim)


class _Width(Wrapper):
    """A function with one bound."""

    name = ""

    def __init__(self, lambd: float = 0.5):
        super().__init__(self.name, lambd=lambd)


class ReLU(_InPlace):
    """Where NaN stays NaN."""

    name = "relu"


class ReLU6(_InPlace):
    """Between 0 and 6, where NaN stays NaN."""

    name = "relu6"


class SELU(_InPlace):
    """Scaled ELU."""

    name = "selu"


class SiLU(_InPlace):
    """x sigmoid(x)."""

    name = "silu"


class Mish(_InPlace):
    """x tanh(softplus(x))."""

    name = "mish"


class Hardswish(_InPlace):
    """x hardsigmoid(x)."""

    name = "hardswish"


class Hardsigmoid(_InPlace):
    """x + 3 between 0 and 6, by 6."""

    name = "hardsigmoid"


class Sigmoid(_Plain):
    """1 / (1 + exp(-x))."""

    name = "sigmoid"


class Tanh(_Plain):
    """tanh, accurate on the CPU."""

    name = "tanh"


class LogSigmoid(_Plain):
    """log sigmoid(x)."""

    name = "logsigmoid"


class Softsign(_Plain):
    """x / (1 + |x|)."""

    name = "softsign"


class Tanhshrink(_Plain):
    """x - tanh(x)."""

    name = "tanhshrink"


class Softmax(_Axis):
    """The axis is called dim, and None chooses it as torch does."""

    name = "softmax"


class Softmax2d(Wrapper):
    """Softmax over the channels of ``(N, C, H, W)`` or ``(C, H, W)``."""

    def __init__(self):
        super().__init__("softmax", dim=-3)

    def construct(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: images of 3 or 4 axes are needed; received {input.shape}.")
        return self.function(input, -3)


class LogSoftmax(_Axis):
    """The axis is called dim, and None chooses it as torch does."""

    name = "log_softmax"


class Softmin(_Axis):
    """Softmax of -x."""

    name = "softmin"


class Softshrink(_Width):
    """x moved towards 0."""

    name = "softshrink"


class Hardshrink(_Width):
    """x, or 0 near 0."""

    name = "hardshrink"


class GELU(Wrapper):
    """x Phi(x), exact unless approximate is "tanh"; nn.GELU's default is the approximation."""

    def __init__(self, approximate: str = "none"):
        super().__init__("gelu", approximate=approximate)


class LeakyReLU(Wrapper):
    """The slope is 0.01 unless given; nn.LeakyReLU's is 0.2."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__("leaky_relu", inplace, negative_slope=negative_slope)


class ELU(Wrapper):
    """x, below 0 alpha (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__("elu", inplace, alpha=alpha)


class CELU(Wrapper):
    """x, below 0 alpha (exp(x / alpha) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__("celu", inplace, alpha=alpha)


class Softplus(Wrapper):
    """log(1 + exp(beta x)) / beta."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__("softplus", beta=beta, threshold=threshold)


class Hardtanh(Wrapper):
    """x between two bounds."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__("hardtanh", inplace, min_val=min_val, max_val=max_val)


class Threshold(Wrapper):
    """x above the threshold, else the value."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__("threshold", inplace, threshold=threshold, value=value)


class GLU(Wrapper):
    """The first half times the sigmoid of the second."""

    def __init__(self, dim: int = -1):
        super().__init__("glu", dim=dim)


class PReLU(Module):
    """Leaky ReLU with trained slopes; the parameter is called weight."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.function, self.weight = function("prelu"), constant(init, num_parameters)

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.weight)


class RReLU(Module):
    """Leaky ReLU with drawn slopes while training, and the mean slope else."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False):
        super().__init__()
        self.function, self.lower, self.upper, self.inplace = function("rrelu"), lower, upper, inplace

    def construct(self, input: Tensor) -> Tensor:
        return self.function(input, self.lower, self.upper, self.training, self.inplace)
