"""Making tensors."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

__all__ = [
    "Tensor", "arange", "as_tensor", "bartlett_window", "blackman_window", "cartesian_prod", "clone", "full", "hamming_window", "hann_window", "linspace",
    "logspace", "ones", "scalar_tensor", "tensor", "zeros",
]  # fmt: skip

_MindSporeTensor = Tensor


def _size(size) -> tuple[int, ...]:
    """Sizes given as arguments, or as one tuple or list."""
    return tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)


def tensor(data, *, dtype=None) -> Tensor:
    """float32 for Python floats and for nothing, int64 for ints; a value of Python, so not for graphs."""
    array = np.array(data)
    if dtype is not None:
        return _MindSporeTensor(array).astype(dtype)
    return _MindSporeTensor(array.astype(np.float32) if array.dtype == np.float64 else array)


def as_tensor(data, dtype=None) -> Tensor:
    """A tensor as it is, anything else made into one."""
    if isinstance(data, _MindSporeTensor):
        return data if dtype is None else data.astype(dtype)
    return tensor(data, dtype=dtype)


def Tensor(data) -> _MindSporeTensor:  # noqa: N802  (torch's class of float32 tensors)
    """Always float32."""
    return tensor(data, dtype=ms.float32)


def scalar_tensor(value, *, dtype=None):
    """A tensor without axes, float32 by default."""
    return full((), value, dtype=ms.float32 if dtype is None else dtype)


def zeros(*size, dtype=None):
    """Sizes as arguments, tuple or list; float32."""
    return ops.zeros(_size(size), ms.float32 if dtype is None else dtype)


def ones(*size, dtype=None):
    """Sizes as arguments, tuple or list; float32."""
    return ops.ones(_size(size), ms.float32 if dtype is None else dtype)


def full(size, fill_value, *, dtype=None):
    """The number's own kind: bool, int64 or float32."""
    kind = ms.bool_ if isinstance(fill_value, bool) else ms.int64 if isinstance(fill_value, int) else ms.float32
    if dtype == ms.float64 and isinstance(fill_value, float):  # a graph rounds numbers to float32
        return ops.ones(tuple(size), dtype) * _MindSporeTensor(fill_value, dtype)
    return ops.full(tuple(size), fill_value, dtype=kind if dtype is None else dtype)


@ops.constexpr
def _constant(values: tuple, dtype):
    """A tensor made while a graph is compiled, in whose own arithmetic numbers are float32."""
    return _MindSporeTensor(np.array(values), dtype)


def clone(input):
    """A copy with its own memory."""
    return input.copy()


@ops.constexpr
def _steps(start, end, steps: int, base) -> tuple:
    places = np.linspace(start, end, steps)
    return tuple((places if base is None else np.power(float(base), places)).tolist())


@ops.constexpr
def _arithmetic(start, end, step) -> tuple:
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: the step must lead from start to end; received {start}, {end} and {step}.")
    return tuple((start + np.arange(int(np.ceil((end - start) / step))) * step).tolist())


def arange(start=0, end=None, step=1, *, dtype=None):
    """From ``start`` to below ``end``: int64 for whole numbers, else float32, and in float64 to its last digit."""
    start, end = (0, start) if end is None else (start, end)
    whole = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    return _constant(_arithmetic(start, end, step), (ms.int64 if whole else ms.float32) if dtype is None else dtype)


def _check_ends(name: str, start, end, steps: int) -> None:
    for place in (start, end):
        if isinstance(place, _MindSporeTensor) and place.ndim:
            raise ValueError(f"{name}: the ends must be numbers; received a tensor of shape {place.shape}.")
    if steps < 0:
        raise ValueError(f"{name}: steps must not be negative; received {steps}.")


def linspace(start, end, steps: int, *, dtype=None):
    """Both ends and what lies between."""
    _check_ends("linspace", start, end, steps)
    return _constant(_steps(start, end, steps, None), ms.float32 if dtype is None else dtype)


def logspace(start, end, steps: int, base: float = 10.0, *, dtype=None):
    """Powers of ``base``."""
    _check_ends("logspace", start, end, steps)
    return _constant(_steps(start, end, steps, base), ms.float32 if dtype is None else dtype)


def _check_length(length: int) -> None:
    if length < 0:
        raise ValueError(f"window_length must not be negative; received {length}.")


@ops.constexpr
def _cosines(length: int, periodic: bool, weights: tuple[float, ...]) -> tuple:
    """sum of (-1)^k a_k cos(2 pi k n / period)."""
    _check_length(length)
    angle = np.arange(length) * (2.0 * np.pi / max(length if periodic else length - 1, 1))
    window = sum((-1.0) ** k * weight * np.cos(k * angle) for k, weight in enumerate(weights))
    return tuple((np.ones(1) if length == 1 else window).tolist())


@ops.constexpr
def _triangle(length: int, periodic: bool) -> tuple:
    _check_length(length)
    place = np.arange(length) * (2.0 / max(length if periodic else length - 1, 1))
    return tuple((np.ones(1) if length == 1 else 1.0 - np.abs(place - 1.0)).tolist())


def bartlett_window(window_length: int, periodic: bool = True, *, dtype=None):
    """Triangle."""
    return _constant(_triangle(window_length, periodic), ms.float32 if dtype is None else dtype)


def blackman_window(window_length: int, periodic: bool = True, *, dtype=None):
    """0.42 - 0.5 cos + 0.08 cos 2."""
    return _constant(_cosines(window_length, periodic, (0.42, 0.5, 0.08)), ms.float32 if dtype is None else dtype)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype=None):
    """alpha - beta cos."""
    return _constant(_cosines(window_length, periodic, (alpha, beta)), ms.float32 if dtype is None else dtype)


def hann_window(window_length: int, periodic: bool = True, *, dtype=None):
    """0.5 - 0.5 cos."""
    return _constant(_cosines(window_length, periodic, (0.5, 0.5)), ms.float32 if dtype is None else dtype)


def cartesian_prod(*tensors):
    """Every combination, one in a row; a single tensor as it is."""
    for tensor in tensors:
        if tensor.ndim != 1:
            raise ValueError(f"cartesian_prod: vectors are needed; received the shape {tensor.shape}.")
    if len(tensors) == 1:
        return tensors[0]
    return ops.stack([ops.reshape(part, (-1,)) for part in ops.meshgrid(*tensors, indexing="ij")], 1)
