"""From a definition to its points: every combination of axes, seeds and backends with its configuration."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.config import ExperimentConfig, find_config, load_config
from common.errors import InputError, nearest
from common.studies.axes import Choice, grid, same_value
from common.studies.conflicts import BASE, TRIAL, refuse_hidden, refuse_names
from common.studies.definition import Definition
from common.studies.tables import higher_is_better, unknown_axes

__all__ = ["Point", "axes_of", "configuration", "expand", "matching", "replaced"]


@dataclass(frozen=True)
class Point:
    """One run of a study, or one search where the study has one."""

    label: dict[str, Any]  #: axis to value
    backend: str
    base: str
    settings: dict[str, Any]  #: key path to value, on top of the base
    config: ExperimentConfig

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.config.seed

    def describe(self) -> str:
        """For people: every axis with its value, the seed and the backend."""
        parts = [f"{axis.rpartition('.')[2]}={value}" for axis, value in self.label.items()]
        return " ".join([*parts, f"seed={self.seed}", self.backend])


def expand(definition: Definition) -> list[Point]:
    """All points, in the order of the definition: base, point, axes (the last one fastest), seed, backend.

    Raises:
        InputError: an axis or a configuration is wrong, or two points have one label.
    """
    points = list(_expand(definition))
    seen: list[tuple] = []
    for point in points:
        key = (point.label, point.seed, point.backend)
        if key in seen:
            raise InputError(
                f"Every point of a study must have a label of its own; two are {point.describe()}. Give them different "
                "labels: points: [{label: {AXIS: VALUE}, ...}]."
            )
        seen.append(key)
    _check_tables(definition, points)
    return points


def _check_tables(definition: Definition, points: list[Point]) -> None:
    """Raise InputError where a table names an axis that no point has, or selects by what has no best."""
    searched = (TRIAL, *definition.search.space) if definition.search is not None else ()
    known = [*axes_of(points), "seed", "backend", *searched]
    for table in definition.tables:
        for axis in unknown_axes(table, known):
            raise InputError(
                f"The table {table.title}: rows, where, select and match must name axes of the study "
                f"({', '.join(known)}); received {axis}.{nearest(axis, known)}"
            )
        if table.select is not None:
            for task in {point.config.model.task for point in points}:
                higher_is_better(table.title, table.select.by, table.select.highest, task)


def axes_of(points: list[Point]) -> dict[str, list[Any]]:
    """Every axis with its values, in the order of the points."""
    found: dict[str, list[Any]] = {}
    for point in points:
        for axis, value in point.label.items():
            values = found.setdefault(axis, [])
            if not any(same_value(value, other) for other in values):
                values.append(value)
    return found


def matching(points: list[Point], filters: Mapping[str, list[str]]) -> list[Point]:
    """The points that fit every filter: axis (or its last word, ``seed``, ``backend``) to the accepted values as text.

    Raises:
        InputError: no point has such an axis, or no point fits.
    """
    known = {*axes_of(points), "seed", "backend"}
    chosen = points
    for name, values in filters.items():
        axes = [axis for axis in known if name in (axis, axis.rpartition(".")[2])]
        if len(axes) != 1:
            hint = f"it fits {', '.join(sorted(axes))}" if axes else "no point has it"
            raise InputError(
                f"--filter must name one axis ({', '.join(sorted(known))}); received {name}: {hint}."
                f"{nearest(name, [*known, *(axis.rpartition('.')[2] for axis in known)])}"
            )
        chosen = [point for point in chosen if _fits(_value(point, axes[0]), values)]
    if not chosen:
        raise InputError("No point of the study fits all of --filter. `twinlora study run STUDY --dry-run` lists them.")
    return chosen


def configuration(base: str, settings: Mapping[str, Any], where: str) -> ExperimentConfig:
    """The configuration of ``base`` with ``settings`` on top.

    Raises:
        InputError: it is wrong; the message begins with ``where``.
    """
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
    try:
        return load_config(base, overrides)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _expand(definition: Definition) -> Iterator[Point]:
    sections = definition.points or (None,)
    for label, base in _bases(definition.base):
        for number, section in enumerate(sections, start=1):
            where = f"point {number}" if section is not None else "axes"
            own = (section.axes or {}) if section is not None else {}
            fixed = (section.set or {}) if section is not None else {}
            named = (section.label or {}) if section is not None else {}
            searched = definition.search.space if definition.search is not None else {}
            refuse_names(named, own, definition.axes, searched, where)
            for combination in grid({**own, **definition.axes}, where):
                labels = {**label, **named, **{axis: choice.label for axis, choice in combination.items()}}
                settings = _merged(definition, fixed, combination, where)
                yield from _runs(definition, labels, base, settings)


def _bases(base: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """(label, experiment) of every base."""
    if isinstance(base, str):
        yield {}, base
    elif isinstance(base, list):
        for one in base:
            yield {BASE: Path(one).stem}, one
    else:
        for label, one in base.items():
            yield {BASE: label}, one


def _runs(definition: Definition, label: dict[str, Any], base: str, settings: dict[str, Any]) -> Iterator[Point]:
    shown = ", ".join(f"{axis}={value}" for axis, value in label.items()) or find_config(base).stem
    for seed in definition.seeds or (None,):
        seeded = settings if seed is None else {**settings, "seed": seed}
        config = configuration(base, seeded, f"The point {shown}")
        for backend in definition.backends:
            yield Point(label, backend, base, seeded, config)


def _merged(
    definition: Definition, fixed: Mapping[str, Any], combination: Mapping[str, Choice], where: str
) -> dict[str, Any]:
    """The settings of the study, the point and its axes.

    Raises:
        InputError: two of them set one key.
    """
    axes = {f"the axis {axis}": choice.settings for axis, choice in combination.items()}
    sources = {"set (or --set)": definition.set, "the set of the point": fixed, **axes}
    refuse_hidden({**sources, **({"seeds": ["seed"]} if definition.seeds else {})}, where)
    return {key: value for settings in sources.values() for key, value in settings.items()}


def _value(point: Point, axis: str) -> Any:
    return {"seed": point.seed, "backend": point.backend}.get(axis, point.label.get(axis))


def _fits(value: Any, accepted: list[str]) -> bool:
    """Compare with text from the command line: 2e-5 is 0.00002."""
    for text in accepted:
        if str(value) == text:
            return True
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                if float(text) == value:
                    return True
            except ValueError:
                continue
    return False


def replaced(point: Point, settings: Mapping[str, Any], label: Mapping[str, Any]) -> Point:
    """``point`` with further settings and labels.

    Raises:
        InputError: the configuration is wrong then.
    """
    every = {**point.settings, **settings}
    config = configuration(point.base, every, f"The point {point.describe()}")
    return dataclasses.replace(point, settings=every, label={**point.label, **label}, config=config)
