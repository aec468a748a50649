"""Cases: what is computed, from which inputs, under which name. Nothing here computes; the backends do."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from common.api_mapping import lock

__all__ = ["BUILT", "Arrays", "Case", "Host", "Suite", "UnsupportedError", "array_hash", "at_tokens", "draw_of"]

Arrays = dict[str, np.ndarray]
BUILT = ("model", "training")  #: kinds of cases that build a network, of which nothing is needed afterwards


class UnsupportedError(Exception):
    """The case cannot be computed here, for a reason that is known beforehand and is no fault."""


@dataclass(frozen=True)
class Host:
    """Where a trace is made."""

    backend: str
    package: ModuleType
    device: str
    dtype: str = "float32"  #: float64 for a reference
    compile: bool | None = None  #: of training steps: None is the backend's own choice
    plain: bool = False  #: single operators by the framework's own call, not by the shim's

    @cached_property
    def mapping(self) -> ModuleType:
        """The backend's runner of mapping rows."""
        return importlib.import_module(f"{self.package.__name__}.mapping")

    @cached_property
    def locked(self) -> dict[str, Any]:
        """What was verified on this device, row by row."""
        [version] = self.package.device.versions().values()
        return lock.load(self.device.partition(":")[0], version)

    @cached_property
    def parity(self) -> ModuleType:
        """The backend's layers and forward passes."""
        return importlib.import_module(f"{self.package.__name__}.parity")

    @property
    def double(self) -> bool:
        """Whether a float64 reference is being made."""
        return self.dtype == "float64"


@dataclass(frozen=True)
class Case:
    """One computation. ``compute`` returns tensors by name, whose first part is their role (`common.parity.limits`),
    and plain values as text."""

    id: str  #: ``level/...``, a logical name that does not depend on what ran before
    kind: str  #: of the limits: ``op CLASS``, ``layer``, ``attention``, ``model``, ``training``; ``stochastic``
    inputs: Callable[[], Arrays] = field(
        repr=False
    )  #: drawn anew on every host, or read from the user's files; never shipped
    compute: Callable[[Host, Arrays], tuple[Arrays, dict[str, str]]] = field(repr=False)
    title: str = ""
    definition: str = ""  #: everything besides the inputs that decides what is computed
    limits: str = ""  #: why a backend refuses the case, where that is known and no fault

    def told(self) -> tuple[str, ...]:
        """What is said of it beside its id."""
        return self.kind, self.title, self.definition, self.limits

    def digest(self) -> str:
        """Changes whenever the case does, apart from its id and its inputs."""
        return _hash(self.told())

    @property
    def level(self) -> str:
        """ops, layers, models, training or recorded."""
        return self.id.partition("/")[0]


@dataclass(frozen=True)
class Suite:
    """Cases in order."""

    name: str
    cases: tuple[Case, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """Changes whenever a case does, apart from its inputs, which have hashes of their own."""
        return _hash([(case.id, *case.told()) for case in self.cases])


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def draw_of(case: str, number: int) -> str:
    """The id of a case computed with rounding at random, the ``number``-th time."""
    return f"{case}#{number}"


def array_hash(array: np.ndarray) -> str:
    """sha256 over dtype, shape and bytes."""
    array = np.asarray(array, order="C")
    head = f"{array.dtype.str.lstrip('<=|')}{array.shape}".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def at_tokens(states: np.ndarray, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """``states`` ``(batch, virtual tokens + seq, width)`` with 0 at padding; any of other dimensions, and those of a
    second sequence, as they are."""
    mask = batch["attention_mask"]
    second = "decoder_input_ids" in batch and states.shape[1] != mask.shape[1]
    if states.ndim != 3 or second:
        return states
    virtual = np.ones((len(mask), states.shape[1] - mask.shape[1]), mask.dtype)
    return np.where(np.concatenate([virtual, mask], 1)[..., None] > 0, states, states.dtype.type(0))
