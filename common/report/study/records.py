"""What a study left behind, as one record for each point of its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.reading import read_json
from common.report.runs import SUMMARY
from common.studies.layout import StudyDirectory
from common.training.predictions import Predictions, read_predictions
from common.training.rundir import COMPLETE, RunDirectory
from common.training.runlog import read_log

__all__ = ["Record", "Study", "combination", "key_of", "read_study"]

TRIAL = "trial"  #: entry of a label that a search adds
_REMEDY = "Remove it; `twinlora study run` makes it again."
_SEARCHES = {"searches": [{"label": {...: object}, "metric": str, "trials": [{...: object}]}]}


@dataclass(frozen=True)
class Record:
    """One point: what was planned and what is there."""

    point: Mapping[str, Any]
    state: str  #: see `StudyDirectory.state`
    error: str | None
    run: RunDirectory
    summary: Mapping[str, Any] | None  #: of a run that came to its end
    outcome: Mapping[str, Any]

    @property
    def label(self) -> Mapping[str, Any]:
        """Axis to value."""
        return self.point["label"]

    def value(self, name: str) -> Any:
        """A field of the run: an axis, ``seed``, ``backend``, ``outcome.<entry>``, or a dotted path into the summary;
        None where it is not there."""
        if name in self.label:
            return self.label[name]
        if name in ("seed", "backend"):
            return self.point[name]
        part, _, rest = name.partition(".")
        found: Any = self.summary
        if part == "outcome":
            found, name = self.outcome, rest
        for key in name.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def predictions(self, split: str) -> Predictions | None:
        """What the best state says to each example."""
        return read_predictions(self.run.predictions(split)) if self.summary is not None else None

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """Of the validation split, in order."""
        events = read_log(self.run.metrics, "evaluation") if self.summary is not None else []
        return [event for event in events if event.get("split", "validation") == "validation"]


@dataclass(frozen=True)
class Study:
    """A plan with its records, in the order of the plan."""

    path: Path
    name: str
    axes: Mapping[str, Sequence[Any]]
    tables: Sequence[Mapping[str, Any]]
    records: tuple[Record, ...]
    searches: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def finished(self) -> tuple[Record, ...]:
        """Those with a summary."""
        return tuple(record for record in self.records if record.summary is not None)

    @property
    def absent(self) -> tuple[Record, ...]:
        """Those without, searched ones that were pruned apart."""
        return tuple(record for record in self.records if record.summary is None and record.state != "pruned")

    @property
    def metric(self) -> str:
        """What the experiments choose their best state by.

        Raises:
            InputError: no run is finished.
        """
        if not self.finished:
            raise InputError(
                f"A report needs at least one finished run; {self.path} has none of {len(self.records)}. "
                "Run the study: twinlora study run."
            )
        summary = self.finished[0].summary
        assert summary is not None
        return str(summary["settings"]["training"]["metric"])

    @property
    def group(self) -> str | None:
        """The first axis that every point has and that takes several values: what a study compares first of all."""
        for axis, values in self.axes.items():
            if len(values) > 1 and all(axis in record.label for record in self.records):
                return axis
        return None


def key_of(record: Record, names: Iterable[str]) -> tuple[Any, ...]:
    """The values of some fields, which may be absent."""
    return tuple(record.value(name) for name in names)


def combination(record: Record) -> tuple[tuple[str, Any], ...]:
    """The label without what a search adds: what seeds and backends have in common."""
    return tuple((axis, value) for axis, value in record.label.items() if axis != TRIAL)


def read_study(path: Path) -> Study:
    """Read a study directory.

    Raises:
        InputError: it is none, or a file in it is damaged.
    """
    directory = StudyDirectory(Path(path))
    plan = directory.read_plan()
    records = tuple(_record(directory, point) for point in plan["points"])
    searches = ()
    if directory.search.is_file():
        searches = tuple(read_json(directory.search, "the record of a search", _REMEDY, _SEARCHES)["searches"])
    return Study(directory.path, plan["name"], plan["axes"], plan["tables"], records, searches)


def _record(directory: StudyDirectory, point: Mapping[str, Any]) -> Record:
    outcome, state, run = directory.outcome(point), directory.state(point), directory.run(point)
    summary = None
    if run.complete():
        summary = read_json(run.summary, "the summary of a run", _REMEDY, SUMMARY)
        if summary["status"] not in COMPLETE:
            summary = None
    error = outcome.error if outcome else None
    return Record(point, state, error, run, summary, vars(outcome) if outcome else {})
