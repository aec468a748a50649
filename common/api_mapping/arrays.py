"""Inputs of the mapping's cases: described here, drawn from raw counter-based integers, so that every host draws the
same bits."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Array",
    "DType",
    "Host",
    "boolean",
    "draw",
    "integers",
    "normal",
    "permutation",
    "sorted_values",
    "spd",
    "strided",
    "uniform",
    "values",
    "wide",
]


@dataclass(frozen=True)
class DType:
    """A dtype argument by its canonical name, for example ``float32``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Host:
    """A NumPy array as an argument."""

    data: tuple[Any, ...]
    dtype: str

    def __str__(self) -> str:
        return f"np.array({list(self.data)}, {self.dtype})"

    def array(self) -> np.ndarray:
        """It."""
        return np.array(self.data, self.dtype)


@dataclass(frozen=True)
class Array:
    """One tensor argument.

    kind is ``normal`` (mean 0, deviation 1, within 3.5, of a complex number both parts), ``uniform`` in [low, high), ``integers`` in [low, high),
    ``boolean``, ``permutation`` of 0..n-1 along the last axis, ``sorted`` along the last axis, ``spd`` (symmetric,
    positive definite) or ``values`` (given).
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float = 0.0
    high: float = 1.0
    data: tuple[Any, ...] = ()
    transposed: bool = False  #: handed over as a view with swapped last axes: not contiguous
    fixed: bool = False  #: no gradient is taken with respect to it

    @property
    def differentiable(self) -> bool:
        """Whether a gradient with respect to it is compared."""
        return self.dtype.startswith(("float", "complex")) and not self.fixed

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape)) if self.shape else "0-d"
        kind = {"uniform": f"in [{self.low:g}, {self.high:g})", "integers": f"in [{self.low:g}, {self.high:g})"}.get(
            self.kind, self.kind
        )
        if self.kind == "values":
            kind = f"[{', '.join(f'{value:g}' for value in self.data[:12])}{', ...' if len(self.data) > 12 else ''}]"
        dtype = "" if self.dtype == "float32" else f"{self.dtype} "
        return f"{dtype}{size} {kind}{' (strided)' if self.transposed else ''}".replace("bool 3x4 boolean", "bool 3x4")


def normal(*shape: int, dtype: str = "float32", fixed: bool = False) -> Array:
    """Values of mean 0 and deviation 1."""
    return Array("normal", shape, dtype, fixed=fixed)


def uniform(*shape: int, low: float, high: float, dtype: str = "float32", fixed: bool = False) -> Array:
    """Values in [low, high)."""
    return Array("uniform", shape, dtype, low, high, fixed=fixed)


def wide(*shape: int) -> Array:
    """|x| up to 20: where coarse kernels show."""
    return Array("uniform", shape, "float32", -20.0, 20.0)


def integers(*shape: int, low: int = -5, high: int = 6, dtype: str = "int64") -> Array:
    """Whole numbers in [low, high)."""
    return Array("integers", shape, dtype, low, high)


def boolean(*shape: int) -> Array:
    """True and False."""
    return Array("boolean", shape, "bool")


def permutation(*shape: int, dtype: str = "int64") -> Array:
    """Each row along the last axis is a permutation of 0..n-1."""
    return Array("permutation", shape, dtype)


def sorted_values(*shape: int) -> Array:
    """Ascending along the last axis."""
    return Array("sorted", shape, fixed=True)


def spd(size: int) -> Array:
    """A symmetric positive definite matrix ``(size, size)``."""
    return Array("spd", (size, size))


def values(*data: complex, shape: tuple[int, ...] | None = None, dtype: str = "float32", fixed: bool = False) -> Array:
    """These values, ``(n,)`` unless a shape is given."""
    return Array("values", (len(data),) if shape is None else shape, dtype, data=data, fixed=fixed)


def strided(array: Array) -> Array:
    """The same as a transposed view."""
    return Array(array.kind, array.shape, array.dtype, array.low, array.high, array.data, True, array.fixed)


def draw(array: Array, key: str) -> np.ndarray:
    """The values of ``array`` under ``key``: exact on every host, since only integers are drawn and only exact
    arithmetic follows."""
    return np.asarray(_draw(array, key))


def _draw(array: Array, key: str) -> np.ndarray:
    if array.kind == "values":
        return np.array(array.data, dtype=array.dtype).reshape(array.shape)
    if array.kind == "boolean":
        return _unit(key, array.shape) < 0.5
    if array.kind == "integers":
        return np.floor(array.low + _unit(key, array.shape) * (array.high - array.low)).astype(array.dtype)
    if array.kind == "permutation":
        return np.argsort(_unit(key, array.shape), axis=-1, kind="stable").astype(array.dtype)
    if array.kind == "uniform":
        return (array.low + _unit(key, array.shape) * (array.high - array.low)).astype(array.dtype)
    bell = (_unit(key, (4, *array.shape)).sum(axis=0) - 2.0) * math.sqrt(3.0)  # four uniforms have variance 4/12
    if array.kind == "normal" and array.dtype.startswith("complex"):
        return (bell + 1j * _draw(Array("normal", array.shape, "float64"), f"{key}|imaginary")).astype(array.dtype)
    if array.kind == "normal":
        return bell.astype(array.dtype)
    if array.kind == "sorted":
        return np.sort(bell, axis=-1).astype(array.dtype)
    if array.kind == "spd":
        rounded = np.round(bell * 8) / 8  # products of eighths are exact
        return (rounded @ rounded.T + array.shape[0] * np.eye(array.shape[0])).astype(array.dtype)
    raise ValueError(f"no kind of array {array.kind!r}")


def _unit(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of 2^-24 in [0, 1), float64."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    raw = np.asarray(np.random.Philox(key=seed).random_raw(math.prod(shape)), dtype=np.uint64)
    return ((raw >> np.uint64(40)).astype(np.float64) * 2.0**-24).reshape(shape)
