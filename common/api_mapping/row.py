"""One row of the mapping, and the calls by which it is tried. Data only: readable, searchable and scannable without a
framework."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from common.api_mapping.arrays import Array, draw
from common.api_mapping.names import Name

__all__ = ["Case", "Row", "alias", "arrays_of", "case", "cotangents", "draw_all", "fill", "forward_only"]


@dataclass(frozen=True)
class Case:
    """One call: what is passed, in torch's order and with torch's argument names. Arrays stand for tensors, also inside
    lists and tuples.

    Of a module, ``arguments`` are the inputs and ``setup`` the constructor's; of an optimizer, ``setup`` are the
    constructor's and there is no input.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    gradient: bool = True  #: False where torch's gradient is not defined or not part of the contract
    setup: Mapping[str, Any] = field(default_factory=dict)
    training: bool = False  #: mode of a module

    def __str__(self) -> str:
        given = [_show(value) for value in self.arguments] + [
            f"{name}={_show(value)}" for name, value in self.keywords.items()
        ]
        built = ", ".join(f"{name}={_show(value)}" for name, value in self.setup.items())
        return (f"[{built}] " if built else "") + ", ".join(given) + (" (training)" if self.training else "")


@dataclass(frozen=True)
class Row(Name):
    """What replaces one torch call, and how that is tried."""

    cases: tuple[Case, ...]
    tolerance: str = "rounding"  #: a class of `common.api_mapping.tolerance`
    adaptation: str = ""  #: what the adapter changes; empty where there is none
    note: str = ""  #: what a porter should know
    legacy: str = ""  #: target of the 2022 mapping table, for MindSpore 1.7
    legacy_call: str = ""  #: the same as a lambda over the case's arguments; empty: called with the very same arguments
    stochastic: bool = False  #: distributions are compared
    limits: Mapping[str, str] = field(
        default_factory=dict
    )  #: part of a case's text -> why MindSpore refuses such a call; it must refuse, never be wrong
    refusals: tuple[Case, ...] = ()  #: calls that torch refuses, and MindSpore must refuse as well in eager mode
    through: str = field(default="", repr=False)
    #: a lambda of the results, written in what both frameworks' tensors have, of which values and gradients are compared
    #: where the results themselves are unique only up to signs

    @property
    def in_place(self) -> bool:
        """Whether the call changes its first tensor, which is then compared as well."""
        return self.name.endswith("_") and not self.name.endswith("__")

    def limit(self, case: Case) -> str | None:
        """Why MindSpore refuses ``case``, if that is known."""
        return next((why for part, why in self.limits.items() if part in str(case)), None)

    def digest(self) -> str:
        """Changes whenever the row or its cases do."""
        return hashlib.sha256(f"{self!r}{self.through}".encode()).hexdigest()[:16]


def alias(row: Row, name: str, **changed: Any) -> Row:
    """The same row under another of torch's names; it has no target in the 2022 table unless given one."""
    return replace(row, name=name, **{"legacy": "", "legacy_call": "", **changed})


def case(*arguments: Any, gradient: bool = True, **keywords: Any) -> Case:
    """A call with these arguments."""
    return Case(arguments, keywords, gradient)


def forward_only(*arguments: Any, **keywords: Any) -> Case:
    """A call of which no gradient is compared."""
    return Case(arguments, keywords, False)


def arrays_of(value: Any) -> Iterator[Array]:
    """Every array in a case or an argument, in order."""
    if isinstance(value, Case):
        yield from arrays_of((value.arguments, value.keywords))
    elif isinstance(value, Array):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from arrays_of(item)
    elif isinstance(value, Mapping):
        yield from arrays_of(tuple(value.values()))


def draw_all(row: Row, case: Case, call: int = 0) -> list[np.ndarray]:
    """The case's inputs in its ``call``-th call, in the order of `arrays_of`; arrays of given values stay the same."""
    return [
        draw(array, f"{row.name}|{case}|{position}{_later(call)}") for position, array in enumerate(arrays_of(case))
    ]


def cotangents(row: Row, case: Case, shapes: list[tuple[int, ...]], call: int = 0) -> list[np.ndarray]:
    """What each differentiable output's gradient is multiplied by, float32."""
    return [
        draw(Array("normal", shape), f"{row.name}|{case}|cotangent {number}{_later(call)}")
        for number, shape in enumerate(shapes)
    ]


def _later(call: int) -> str:
    return f"|call {call}" if call else ""


def fill(value: Any, tensors: Iterator[Any], convert: Callable[[Any], Any]) -> Any:
    """``value`` with every array replaced by the next of ``tensors`` and everything else by ``convert`` of it."""
    if isinstance(value, Array):
        return next(tensors)
    if isinstance(value, list | tuple):
        return type(value)(fill(item, tensors, convert) for item in value)
    if isinstance(value, Mapping):
        return {name: fill(item, tensors, convert) for name, item in value.items()}
    return convert(value)


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_show, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return str(value) if isinstance(value, Array) else f"{value}"
