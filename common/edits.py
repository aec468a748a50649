"""One vocabulary for what is changed in a network: adapters, compression and quantisation are lists of `Edit`.

An edit is counted before anything is built. Each backend carries it out with the layer of the same name
(``pytorch_impl/layers/<layer>.py`` and ``mindspore_impl/layers/<layer>.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from common import random
from common.models.modules import ModuleSpec

__all__ = [
    "Constant",
    "Edit",
    "Given",
    "Init",
    "Normal",
    "ParameterSpec",
    "Shared",
    "Uniform",
    "Zeros",
    "initial_values",
]


class Init(Protocol):
    """Start value of a parameter as a function of (seed, name, shape) alone."""

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 array of ``shape``."""


@dataclass(frozen=True)
class Zeros:
    """All zeros."""

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 zeros."""
        return np.zeros(shape, np.float32)


@dataclass(frozen=True)
class Constant:
    """The same number everywhere."""

    value: float

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 array of it."""
        return np.full(shape, self.value, np.float32)


@dataclass(frozen=True)
class Uniform:
    """Uniform in [-bound, bound)."""

    bound: float

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """See `common.random.uniform`."""
        return random.uniform(seed, name, shape, self.bound)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0."""

    std: float

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """See `common.random.normal`."""
        return random.normal(seed, name, shape, self.std)


@dataclass(frozen=True, eq=False)
class Given:
    """An array that was computed before, for example from the base weights."""

    array: np.ndarray = field(repr=False)

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The array, float32."""
        return np.asarray(self.array, np.float32).reshape(shape)


@dataclass(frozen=True)
class Shared:
    """The values of ``init`` for another name, which parameters of several layers have in common."""

    init: Init
    name: str

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Those of the shared name."""
        return self.init.values(seed, self.name, shape)


@dataclass(frozen=True)
class ParameterSpec:
    """One trained parameter."""

    name: str  #: canonical: the module's path, a dot, and a leaf
    shape: tuple[int, ...]
    component: str  #: what it is counted as: ``lora_A``, ``head``, ``bias``, ...
    init: Init | None = None  #: None: it is part of the base model and keeps its value
    decay: bool = True  #: whether weight decay applies
    rate: float = 1.0  #: by which its learning rate is larger than that of the others

    @property
    def leaf(self) -> str:
        """The last part of the name, which is the attribute of its layer."""
        return self.name.rpartition(".")[2]

    @property
    def size(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Edit:
    """One change of the module at ``path``."""

    path: str
    layer: str  #: name of the backends' layer that carries it out
    mode: str  #: ``wrap`` keeps the module inside the new layer, ``replace`` puts the layer in its place, and
    #: ``prepend`` wraps the table of the words, before whose sequence the layer puts virtual tokens
    module: ModuleSpec  #: what is at ``path`` before
    arguments: Any  #: frozen dataclass of the layer's settings
    parameters: tuple[ParameterSpec, ...]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name to shape, in order."""
        return {parameter.name: parameter.shape for parameter in self.parameters}


def initial_values(parameters: Iterable[ParameterSpec], seed: int) -> Mapping[str, np.ndarray]:
    """Float32 start values of every parameter that is new; those of the base model keep their own."""
    return {p.name: p.init.values(seed, p.name, p.shape) for p in parameters if p.init is not None}
