"""The plan: which modules are edited and which base parameters are trained, counted before anything is built."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from common.edits import Edit, ParameterSpec, initial_values

__all__ = ["BIAS", "EMBEDDING", "HEAD", "Plan"]

HEAD = "head"  #: component of the task head's parameters
BIAS = "bias"  #: component of the base model's biases
EMBEDDING = "embedding"  #: component of embeddings that got new tokens


@dataclass(frozen=True)
class Plan:
    """The edits in order, and the base parameters trained as they are (head, biases, or everything)."""

    method: str
    edits: tuple[Edit, ...]
    unfrozen: tuple[ParameterSpec, ...]
    head: tuple[
        str, ...
    ]  #: paths of the modules that are stored whole: the task head's, and embeddings with new tokens
    artifact: str  #: how its result is stored, a module of `common.artifacts`
    options: Any = None  #: of the method
    patterns: tuple[tuple[str, tuple[str, ...]], ...] = ()  #: (pattern as written, matched paths), for the table

    @cached_property
    def parameters(self) -> tuple[ParameterSpec, ...]:
        """Every trained parameter, those of edits first."""
        return (*(parameter for edit in self.edits for parameter in edit.parameters), *self.unfrozen)

    @property
    def prepended(self) -> int:
        """Virtual tokens before every sequence."""
        return sum(edit.arguments.tokens for edit in self.edits if edit.mode == "prepend")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every trained parameter's shape by name."""
        return {parameter.name: parameter.shape for parameter in self.parameters}

    @cached_property
    def decayed(self) -> frozenset[str]:
        """Names that weight decay applies to: matrices, not biases and norms."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.decay)

    @cached_property
    def in_head(self) -> frozenset[str]:
        """Names of the task head's parameters."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.component == HEAD)

    def rates(self, head_factor: float) -> dict[str, float]:
        """By how much the learning rate of every parameter is larger, in the order of the parameters.

        Args:
            head_factor: that of the task head.
        """
        return {p.name: p.rate * (head_factor if p.component == HEAD else 1.0) for p in self.parameters}

    def counts(self) -> dict[str, int]:
        """Trained scalars by component, and their ``total``."""
        counts: dict[str, int] = {}
        for parameter in self.parameters:
            counts[parameter.component] = counts.get(parameter.component, 0) + parameter.size
        return counts | {"total": sum(counts.values())}

    def bytes(self, itemsize: int = 4) -> int:
        """Size of the trained parameters at ``itemsize`` bytes each."""
        return itemsize * self.counts()["total"]

    def computation(self) -> dict[str, dict[str, Any]]:
        """By the path of every edit, as plain data, what decides what it computes with given arrays: its layer and its
        arguments, without dropout, which is of training."""
        return {edit.path: {"layer": edit.layer, **_plain(edit.arguments)} for edit in self.edits}

    def initial_values(self, seed: int) -> Mapping[str, np.ndarray]:
        """Float32 start values of what the edits add."""
        return initial_values(self.parameters, seed)


def _plain(arguments: Any) -> dict[str, Any]:
    """A dataclass as JSON has it. Of start values that are made of a weight (`common.methods.starts`) their name."""
    named = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(arguments)}
    found = {name: getattr(value, "init", value) for name, value in named.items() if name != "dropout"}
    return dict(json.loads(json.dumps(found, default=dataclasses.asdict)))
