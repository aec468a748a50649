"""What torch refuses is refused. Arguments are checked in graphs as well, while these are compiled; values of tensors
are checked in eager mode only.

Each caller says what a graph makes of such values.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, ops

__all__ = [
    "axis_of",
    "check_axes",
    "check_channels",
    "check_divisor",
    "check_indices",
    "check_probabilities",
    "check_reduction",
    "check_shape",
    "check_tensors",
    "check_values",
]


class _Check(ops.PrimitiveWithInfer):
    """A function that looks at values and raises an error. In a graph it is called while that is compiled, and only if
    no argument is a tensor."""

    def __init__(self, function):
        super().__init__(function.__name__)
        self.set_const_prim(True)
        self.add_prim_attr("constexpr_prim", True)
        self.function = function

    def __infer__(self, *arguments):
        values = [argument["value"] for argument in arguments]
        if not any(isinstance(value, Tensor) for value in values):
            self.function(*values)
        return {"dtype": None, "shape": None, "value": 0}

    def __call__(self, *arguments) -> int:
        self.function(*arguments)
        return 0


def _array(values) -> np.ndarray:
    return values.asnumpy() if isinstance(values, Tensor) else np.asarray(values)


@_Check
def check_indices(name: str, index, low: int, high: int, ignored: int | None = None) -> None:
    """Refuse indices outside [low, high), of which ``ignored`` is always allowed.

    Raises:
        IndexError: in eager mode, for such an index.
    """
    places = _array(index)
    wrong = (places < low) | (places >= high)
    if ignored is not None:
        wrong &= places != ignored
    if wrong.any():
        raise IndexError(f"{name}: indices must be in [{low}, {high}); received {places[wrong].flat[0]}.")


@_Check
def check_divisor(name: str, divisor) -> None:
    """Refuse a division of integers by 0.

    Raises:
        ZeroDivisionError: in eager mode for a tensor that holds 0, in both for the number 0.
    """
    values = _array(divisor)
    if (values == 0).any():
        raise ZeroDivisionError(f"{name}: an integer cannot be divided by 0; divide floating point numbers instead.")


@_Check
def check_values(name: str, values, low: float, high: float) -> None:
    """Refuse values outside [low, high], and NaN.

    Raises:
        ValueError: in eager mode, for such a value.
    """
    found = _array(values)
    if not ((found >= low) & (found <= high)).all():
        wrong = found[~((found >= low) & (found <= high))]
        raise ValueError(f"{name}: values must be in [{low}, {high}]; received {wrong.flat[0]}.")


@_Check
def check_probabilities(weights, count: int, replacement: bool) -> None:
    """Refuse weights of which nothing can be sampled.

    Raises:
        ValueError: in eager mode, for a weight below 0, NaN or infinity, a row without a positive weight, or more
            samples than weights.
    """
    found = _array(weights)
    if not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError("multinomial: weights must be finite and at least 0.")
    if not (found.sum(-1) > 0).all():
        raise ValueError("multinomial: the weights of a distribution must have a positive sum.")
    if not replacement and count > found.shape[-1]:
        raise ValueError(f"multinomial: {count} of {found.shape[-1]} cannot be sampled without replacement.")


def check_reduction(reduction: str, *others: str) -> None:
    """Refuse a reduction that is none of none, mean, sum and ``others``.

    Raises:
        ValueError: it is another.
    """
    if reduction not in ("none", "mean", "sum", *others):
        raise ValueError(f"reduction must be none, mean or sum; received {reduction}.")


def check_tensors(name: str, *given) -> None:
    """Refuse a number where torch takes a tensor only.

    Raises:
        TypeError: one of ``given`` is no tensor.
    """
    for value in given:
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: a tensor is needed here; received {value}. Make one with torch.tensor.")


def check_shape(name: str, what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape, which would be broadcast.

    Raises:
        ValueError: ``tensor`` has another shape.
    """
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name}: {what} must have the shape {shape}; received {tensor.shape}.")


def check_axes(name: str, *tensors: Tensor) -> None:
    """Refuse tensors of different numbers of axes.

    Raises:
        ValueError: they differ.
    """
    for tensor in tensors[1:]:
        if tensor.ndim != tensors[0].ndim:
            raise ValueError(
                f"{name}: all tensors must have as many axes; received the shapes {tensors[0].shape} and {tensor.shape}."
            )


def check_channels(name: str, channels: int, **tensors: Tensor | None) -> None:
    """Refuse what does not hold one number for each channel.

    Raises:
        ValueError: one of ``tensors`` has another number of elements.
    """
    for what, tensor in tensors.items():
        if tensor is not None and tensor.size != channels:
            raise ValueError(f"{name}: {what} must have {channels} elements; received the shape {tensor.shape}.")


def axis_of(name: str, ndim: int, dim: int) -> int:
    """``dim`` counted from 0; a tensor without axes has one here, as in torch.

    Raises:
        IndexError: there is no such axis.
    """
    count = ndim if ndim > 0 else 1
    if dim < -count or dim >= count:
        raise IndexError(f"{name}: dim must be in [{-count}, {count}); received {dim}.")
    return dim % count
