"""``torch.nn.functional``: the mapping's functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.torch_api.lifting import lifted, missing
from mindspore_impl.torch_api.tensor import Tensor
from mindspore_impl.torch_api.tensor import dropout as dropping

#: where ``inplace`` stands among the arguments
_IN_PLACE = {
    "relu": 1, "relu6": 1, "selu": 1, "silu": 1, "mish": 1, "hardsigmoid": 1, "hardswish": 1, "leaky_relu": 2, "elu": 2, "celu": 2, "hardtanh": 3,
    "threshold": 3, "rrelu": 4, "dropout": 3, "dropout1d": 3, "dropout2d": 3, "dropout3d": 3, "alpha_dropout": 3,
}  # fmt: skip


def _by_position(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    """``inplace`` may be given by its position."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        if len(arguments) > place:
            keywords["inplace"] = arguments[place]
            arguments = arguments[:place]
        return function(*arguments, **keywords)

    call.__name__, call.__doc__, call.__wrapped__ = function.__name__, function.__doc__, function.__wrapped__
    return call


def _drops(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kind of dropout, which `tensor.dropout` can switch off."""

    def call(input: Tensor, *arguments: Any, **keywords: Any) -> Any:
        return function(input, *arguments, **keywords) if dropping[-1] else input

    call.__name__, call.__doc__, call.__wrapped__ = function.__name__, function.__doc__, function.__wrapped__
    return call


def _bind() -> None:
    for name, function in bound(named("torch.nn.functional")).items():
        place = _IN_PLACE.get(name)
        made = lifted(function, name, place is not None)
        made = made if place is None else _by_position(made, place)
        globals()[name] = _drops(made) if "dropout" in name else made


_bind()


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu`, written into the tensor."""
    return globals()["leaky_relu"](input, negative_slope, inplace=True)


def relu_(input: Tensor) -> Tensor:
    """`relu`, written into the tensor."""
    return globals()["relu"](input, inplace=True)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate` under its older name."""
    return globals()["interpolate"](input, size, scale_factor, mode, align_corners)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.nn.functional.{name}")
