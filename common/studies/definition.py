"""The definition of a study: the schema of its file, and reading it strictly.

Values of axes are checked when they are expanded (`common.studies.points`), where the configurations are built.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.backend import BACKENDS
from common.config.convert import INVALID, build
from common.config.yaml_text import Document, dump, parse
from common.errors import InputError, nearest
from common.reading import read_text
from common.resources import configs_folder
from common.studies.search.space import SearchSection, section_problems
from common.studies.tables import TableSection, table_problems

__all__ = [
    "Definition",
    "Limits",
    "PointSection",
    "changed",
    "find_study",
    "read_definition",
    "shipped_studies",
    "to_yaml",
]

STUDIES = configs_folder() / "studies"  #: the shipped studies
_LARGEST = 2**20  #: bytes of a definition
_NAME = re.compile(r"\w[\w.-]{0,99}")
_MOST_MEMORY = 2**50
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?")
_DEFAULTS: dict[str, Any] = {
    "set": {}, "axes": {}, "points": [], "seeds": [], "backends": ["pytorch"], "tables": [], "search": None,
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What one run may take; null: as much as it needs."""

    seconds: float | None = None  #: of wall time, of each attempt
    memory: str | None = None  #: resident memory of the run's processes: bytes, or such as ``8 GiB``

    @property
    def bytes(self) -> int | None:
        """``memory`` as a number."""
        return None if self.memory is None else _bytes(self.memory)


@dataclass(frozen=True)
class PointSection:
    """An explicit point, or a family of points where it has axes of its own."""

    label: dict[str, Any] | None = None  #: axis to value, what the point is called
    set: dict[str, Any] | None = None  #: key path to value
    axes: dict[str, Any] | None = None


@dataclass(frozen=True)
class Definition:
    """A study. ``base`` is an experiment's name or path, a list of them, or a mapping of labels to them."""

    name: str
    base: Any
    set: dict[str, Any]  #: key path to value, of every run
    axes: dict[str, Any]  #: the grid: key path to list, or a name to labelled sets of keys
    points: tuple[PointSection, ...]
    seeds: tuple[int, ...]  #: empty: that of the base
    backends: tuple[str, ...]
    limits: Limits
    tables: tuple[TableSection, ...]
    search: SearchSection | None


def find_study(path: str | Path) -> Path:
    """The file that ``path`` means: itself, ``study.yaml`` in that directory, or the shipped study of that name.

    Raises:
        InputError: there is none.
    """
    given = Path(path)
    for file in (given, given / "study.yaml", STUDIES / f"{path}.yaml"):
        if file.is_file():
            return file
    known = shipped_studies()
    raise InputError(
        f"A study must be a YAML file, a study directory or one of {', '.join(known)}; {path} is none."
        f"{nearest(given.stem, known)}"
    )


def shipped_studies() -> list[str]:
    """Names of the studies that come with the project."""
    return sorted(file.stem for file in STUDIES.glob("*.yaml"))


def read_definition(path: str | Path, settings: Mapping[str, Any] | None = None) -> Definition:
    """Read the study in ``path`` (see `find_study`).

    Args:
        settings: key path to value, laid over the entry ``set``.

    Raises:
        InputError: the file cannot be read, or anything in it is wrong; every fault is listed with its line.
    """
    file = find_study(path)
    text = read_text(file, "the definition of a study", "Save it as UTF-8 text.", _LARGEST)
    document = parse(text, str(file))
    faults = [(line, f"line {line}: {'.'.join(key)} {message}") for key, line, message in document.problems]

    def report(key: tuple[str, ...], message: str) -> None:
        line = _line(document, key)
        faults.append((line or 0, f"{f'line {line}: ' if line else ''}{'.'.join(key)} {message}"))

    values = {"name": file.stem, **_DEFAULTS, **document.values}
    found = build(Definition, values, (), report, {})
    if found is not INVALID:
        for key, message in _problems(found):
            report(key, message)
    if faults:
        listed = "\n".join(f"  {text}" for _, text in sorted(faults, key=lambda fault: fault[0]))
        count = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
        raise InputError(f"{file}: {count} in the definition of the study:\n{listed}")
    found = dataclasses.replace(found, base=_placed(found.base, file.parent))
    return dataclasses.replace(found, set={**found.set, **(settings or {})})


def changed(definition: Definition, **entries: Any) -> Definition:
    """The definition with other entries, such as its name.

    Raises:
        InputError: they do not fit.
    """
    found = dataclasses.replace(definition, **entries)
    faults = [f"{'.'.join(key)} {message}" for key, message in _problems(found)]
    if faults:
        raise InputError(f"The study {definition.name} cannot be changed so: {'; '.join(faults)}.")
    return found


def to_yaml(definition: Definition) -> str:
    """The definition as a file that `read_definition` reads again."""
    plain = _plain(dataclasses.asdict(definition))
    return dump({key: value for key, value in plain.items() if value not in ({}, [])})


def _plain(value: Any) -> Any:
    """Without what was not given, which is the default."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _line(document: Document, key: tuple[str, ...]) -> int | None:
    """Of the nearest key that the file has."""
    return next((document.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in document.lines), None)


def _placed(base: Any, folder: Path) -> Any:
    """Paths beside the definition become absolute, so that ``study.yaml`` finds them from where it lies."""
    if isinstance(base, dict):
        return {label: _placed(one, folder) for label, one in base.items()}
    if isinstance(base, list):
        return [_placed(one, folder) for one in base]
    inside = folder / base
    return str(inside.resolve()) if inside.is_file() else base


def _problems(definition: Definition):
    if not _NAME.fullmatch(definition.name):
        yield ("name",), f"must be letters, digits, dot, dash and underscore; received {definition.name!r}"
    yield from _base_problems(definition.base)
    for key, message in section_problems(definition.search) if definition.search is not None else ():
        yield ("search", *key), message
    for index, seed in enumerate(definition.seeds):
        if not 0 <= seed < 2**32 or seed in definition.seeds[:index]:
            yield ("seeds", str(index)), f"must be different integers from 0 to 4294967295; received {seed}"
    if not definition.backends:
        yield ("backends",), f"must name at least one of {', '.join(BACKENDS)}"
    for index, backend in enumerate(definition.backends):
        if backend not in BACKENDS or backend in definition.backends[:index]:
            yield (
                ("backends", str(index)),
                f"must be different ones of {', '.join(BACKENDS)}; received {backend!r}.{nearest(backend, BACKENDS)}",
            )
    yield from _limit_problems(definition.limits)
    for index, table in enumerate(definition.tables):
        for key, message in table_problems(table):
            yield ("tables", str(index), *key), message


def _base_problems(base: Any):
    several = list(base.values()) if isinstance(base, dict) else base if isinstance(base, list) else [base]
    if not several or not all(isinstance(one, str) for one in several):
        yield (
            ("base",),
            f"must be an experiment's name or path, a list of them, or a mapping of labels to them; received {base!r}",
        )


def _limit_problems(limits: Limits):
    if limits.seconds is not None and not limits.seconds > 0:
        yield ("limits", "seconds"), f"must be greater than 0; received {limits.seconds}"
    if limits.memory is None:
        return
    if not _SIZE.fullmatch(limits.memory.strip()):
        yield ("limits", "memory"), f"must be a size such as 8 GiB; received {limits.memory!r}"
    elif not 0 < _bytes(limits.memory) < _MOST_MEMORY:
        yield ("limits", "memory"), f"must be greater than 0, and less than 1024 TiB; received {limits.memory!r:.80}"


def _bytes(size: str) -> int:
    match = _SIZE.fullmatch(size.strip())
    assert match is not None  # see _limit_problems
    unit = match[2] or "B"
    return int(float(match[1]) * (1024 if "i" in unit else 1000) ** "BKMGT".index(unit[0]))
