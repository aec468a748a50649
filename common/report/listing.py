"""Run directories as rows of fields: found, filtered, sorted, compared."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.config import to_plain
from common.config.yaml_text import parse_value
from common.errors import InputError, nearest
from common.report.elements import byte_size, duration, measure
from common.report.runs import flatten
from common.terminal import notice, printable_line
from common.training.rundir import RunDirectory

__all__ = ["Condition", "Listed", "ask", "conditions", "find", "order", "table"]

_LONGEST = 60  #: characters of a cell
_UNFINISHED = "unfinished"  #: status of a run without a summary
_USUAL = (
    "name",
    "backend",
    "method",
    "seed",
    "status",
    "steps",
    "trainable.total",
    "seconds.total",
    "peak_memory_bytes",
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne, ">=": operator.ge, "<=": operator.le, "=": operator.eq, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_CONDITION = re.compile(r"([^=<>!~]+)(!=|>=|<=|=|>|<|~)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Listed:
    """A run directory: its summary, or, before there is one, its configuration, with dotted names."""

    path: Path
    fields: Mapping[str, Any]

    def value(self, name: str) -> Any:
        """A field; settings may be named without ``settings.`` before them; None where it is not there."""
        if name in self.fields:
            return self.fields[name]
        return self.fields.get(f"settings.{name}")

    def plain(self, columns: Sequence[str] | None) -> dict[str, Any]:
        """Ready for JSON: everything, or some fields."""
        chosen = self.fields if columns is None else {name: self.value(name) for name in columns}
        return {"path": str(self.path), **chosen}


@dataclass(frozen=True)
class Condition:
    """A field, how it is compared, and with what."""

    field: str
    sign: str
    value: Any
    text: str

    def holds(self, run: Listed) -> bool:
        """Whether it holds of a run; never of a field that the run lacks, except for ``!=``."""
        found = run.value(self.field)
        if self.sign == "~":
            return found is not None and fnmatch.fnmatchcase(str(found), self.text)
        if self.sign in ("=", "!="):
            return (found == self.value or (found is not None and str(found) == self.text)) == (self.sign == "=")
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (found, self.value))
        return numbers and _OPERATORS[self.sign](found, self.value)


def find(folders: Iterable[Path]) -> list[Listed]:
    """Every run directory in ``folders``, by path. One that cannot be read is said on standard error and left out.

    Raises:
        InputError: a folder does not exist.
    """
    found: dict[Path, Listed] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"There is no folder {folder}. twinlora train makes runs/ where it is called; give the folder that holds your runs."
            )
        for file in sorted(folder.rglob("config.yaml")):
            if (file.parent / "metrics.jsonl").exists() or (file.parent / "summary.json").exists():
                try:
                    found[file.parent] = _listed(RunDirectory(file.parent))
                except InputError as error:
                    notice(f"left out: {error}")
    return list(found.values())


def _listed(run: RunDirectory) -> Listed:
    from common.reading import read_json

    if run.read_summary() is not None:
        return Listed(run.path, flatten(read_json(run.summary, "the summary of a run", "Train the run again.")))
    config = run.read_config()
    begun = {"name": config.name, "backend": run.path.name, "method": config.adaptation.method, "seed": config.seed}
    return Listed(run.path, flatten({**begun, "status": _UNFINISHED, "settings": to_plain(config)}))


def conditions(texts: Iterable[str]) -> list[Condition]:
    """``FIELD=VALUE`` and the like, values as YAML.

    Raises:
        InputError: one has another form.
    """
    found = []
    for text in texts:
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise InputError(f"A condition is FIELD=VALUE, with =, !=, <, <=, >, >= or ~; received {text!r}.")
        field, sign, value = (part.strip() for part in parts.groups())
        found.append(Condition(field, sign, _parsed(value), value))
    return found


def _parsed(text: str) -> Any:
    try:
        return parse_value(text)
    except ValueError:
        return text


def ask(runs: Sequence[Listed], wanted: Iterable[Condition]) -> list[Listed]:
    """The runs of which every condition holds.

    Raises:
        InputError: no run has a field that a condition names.
    """
    wanted = list(wanted)
    for condition in wanted:
        _check_known(runs, condition.field)
    return [run for run in runs if all(condition.holds(run) for condition in wanted)]


def _check_known(runs: Sequence[Listed], name: str) -> None:
    known = {field for run in runs for field in run.fields}
    known |= {field.removeprefix("settings.") for field in known}
    if runs and name not in known:
        raise InputError(f"No run has a field {name!r}.{nearest(name, known)} See --json for all of them.")


def order(runs: Sequence[Listed], by: str | None) -> list[Listed]:
    """Sorted by a field, descending with a minus before it; runs that lack it come last. By path where none is given."""
    if by is None:
        return sorted(runs, key=lambda run: str(run.path))
    name = by.removeprefix("-")
    _check_known(runs, name)
    having = [run for run in runs if run.value(name) is not None]
    lacking = [run for run in runs if run.value(name) is None]
    numbers = all(isinstance(run.value(name), int | float) for run in having)
    having.sort(key=lambda run: run.value(name) if numbers else str(run.value(name)), reverse=by.startswith("-"))
    return having + lacking


def table(runs: Sequence[Listed], columns: Sequence[str] | None = None, differ: bool = False) -> str:
    """Text with one row for each run."""
    if not runs:
        return "no runs"
    names = list(columns or _usual(runs))
    for name in columns or ():
        _check_known(runs, name)
    if differ:
        names += [name for name in _differing(runs) if not _repeats(runs, name, names)]
    head = ["run", *(_shown(name) for name in names)]
    rows = [head, *([str(run.path), *(_text(name, run.value(name)) for name in names)] for run in runs)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(map(printable_line, lines))


def _usual(runs: Sequence[Listed]) -> list[str]:
    """The usual columns, and the metric that decides the best state, on every split that has it."""
    metrics = dict.fromkeys(str(run.value("settings.training.metric")) for run in runs)
    scores = [f"{split}.{metric}" for metric in metrics for split in ("validation", "test")]
    return [*_USUAL[:6], *(name for name in scores if any(run.value(name) is not None for run in runs)), *_USUAL[6:]]


def _differing(runs: Sequence[Listed]) -> list[str]:
    """Settings that are not the same in all runs; not where data lie and what the run is called."""
    names = dict.fromkeys(name for run in runs for name in run.fields if name.startswith("settings."))
    left_out = ("settings.name", "settings.data.directory")
    return [name for name in names if name not in left_out and len({str(run.value(name)) for run in runs}) > 1]


def _repeats(runs: Sequence[Listed], name: str, names: Sequence[str]) -> bool:
    """Whether a column says the same already."""
    values = [run.value(name) for run in runs]
    return any(other == name or [run.value(other) for run in runs] == values for other in names)


def _shown(name: str) -> str:
    return name.removeprefix("settings.")


def _text(name: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.startswith("seconds") and not name.startswith("seconds_per"):
            return duration(float(value))
        if name.endswith("_bytes"):
            return byte_size(value)
    text = measure(value) if not isinstance(value, list | dict) else str(_short(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"


def _short(value: Any) -> Any:
    """A list or mapping without what is not given; a mapping of one entry is that."""
    if isinstance(value, list):
        return ", ".join(str(_short(one)) for one in value)
    if isinstance(value, dict):
        given = {key: one for key, one in value.items() if one is not None}
        return next(iter(given.values())) if len(given) == 1 else given
    return value
