"""What is searched: the section ``search`` of a definition, and the values that a key may take."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from common.config.convert import INVALID, convert
from common.studies.axes import same_value

__all__ = ["Dimension", "PruneSection", "SearchSection", "dimensions", "section_problems"]


@dataclass(frozen=True)
class PruneSection:
    """Median pruning (optuna's): end a trial whose value is worse than the median of earlier ones at its step."""

    startup_trials: int = 5  #: trials that must have ended before any is pruned
    warmup_steps: int = 0  #: optimizer steps in which no trial is pruned


@dataclass(frozen=True)
class SearchSection:
    """A search in each point of the grid, for each seed and backend."""

    trials: int
    space: dict[str, Any]  #: key path to a range or to choices; or a name to labelled sets of keys
    sampler: Literal["tpe", "random"] = "tpe"
    startup_trials: int = 5  #: of ``tpe``: trials sampled at random first
    prune: PruneSection | None = None  #: null: no trial is ended early
    workers: int = 1  #: trials at the same time: trial n knows the results of trials 0 to n - workers
    seed: int = 0  #: of the sampler


@dataclass(frozen=True)
class Dimension:
    """One searched entry: a range of numbers, or choices."""

    name: str
    low: float | int | None = None
    high: float | int | None = None
    step: float | int | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()  #: labels or values
    settings: dict[Any, dict[str, Any]] | None = None  #: of labelled choices: label to key path to value

    def ends(self) -> tuple[Any, ...]:
        """Values that show whether the entry fits: every choice, or both ends of the range."""
        return self.choices or (self.low, self.high)

    def keys(self, value: Any) -> dict[str, Any]:
        """Key path to value for one value of the entry."""
        return {self.name: value} if self.settings is None else dict(self.settings[value])


@dataclass(frozen=True)
class _Range:
    low: Any
    high: Any
    step: Any = None
    log: bool = False


def section_problems(search: SearchSection) -> Iterator[tuple[tuple[str, ...], str]]:
    """(place, what is wrong) for numbers that do not fit."""
    for key, least in (("trials", 1), ("workers", 1), ("startup_trials", 0)):
        if (value := getattr(search, key)) < least:
            yield (key,), f"must be {'greater than 0' if least else 'a non-negative integer'}; received {value}"
    for key, value in dataclasses.asdict(search.prune).items() if search.prune is not None else ():
        if value < 0:
            yield ("prune", key), f"must be a non-negative integer; received {value}"


def dimensions(search: SearchSection) -> Iterator[Dimension | tuple[str, str]]:
    """Every entry of the space; (name, what is wrong) in place of one that does not fit."""
    for name, value in search.space.items():
        if not isinstance(value, dict):
            yield name, "must be {low: , high: } with step or log where wanted, or {choices: }; received " + repr(value)
        elif "choices" in value:
            yield _choices(name, value)
        else:
            yield _range(name, value)


def _choices(name: str, value: dict[str, Any]) -> Dimension | tuple[str, str]:
    choices = value["choices"]
    if set(value) != {"choices"}:
        return name, f"has choices and nothing else; received {', '.join(value)}"
    if isinstance(choices, dict) and choices:
        if "." in name:
            return Dimension(name, choices=tuple(choices), settings={key: {name: one} for key, one in choices.items()})
        if all(isinstance(settings, dict) for settings in choices.values()):
            return Dimension(name, choices=tuple(choices), settings=choices)
        return name, "has labelled choices, each of which must be a mapping of key paths to values"
    if not isinstance(choices, list) or not choices or "." not in name:
        return name, f"must be a key path with a list of choices, or choices with labels; received {choices!r}"
    if not all(isinstance(one, str | int | float | bool) or one is None for one in choices):
        return name, "has lists or mappings as choices; name them: choices: {label: value}"
    if any(same_value(one, other) for index, one in enumerate(choices) for other in choices[:index]):
        return name, f"must have different choices; received {choices!r}"
    return Dimension(name, choices=tuple(choices))


def _range(name: str, value: dict[str, Any]) -> Dimension | tuple[str, str]:
    faults: list[str] = []
    found = convert(_Range, value, (), lambda path, message: faults.append(f"{'.'.join(path)} {message}"))
    if found is INVALID:
        return name, "; ".join(faults)
    numbers = [one for one in (found.low, found.high, found.step) if one is not None]
    if "." not in name:
        return name, "must be a key path such as optimization.learning_rate to have a range"
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
        return name, f"must have numbers for low, high and step; received {value!r}"
    if found.low > found.high or (found.log and found.low <= 0):
        return name, f"must have low <= high, and low > 0 with log; received {value!r}"
    if found.step is not None and (found.log or found.step <= 0):
        return name, f"must have a step greater than 0, and none with log; received {value!r}"
    if not math.isfinite(float(found.high) - float(found.low)):
        return name, f"must have a range that is a finite number; received {value!r}"
    if found.step is not None and found.step > found.high - found.low:
        return name, f"must have a step that leaves more than one value; received {value!r}"
    return Dimension(name, found.low, found.high, found.step, found.log)
