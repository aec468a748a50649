"""``study.json`` and what lies beside it: what a study consists of, written before anything is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.backend import loader
from common.config import to_yaml as config_to_yaml
from common.errors import InputError
from common.files import write_atomic, write_json
from common.studies import points as expansion
from common.studies.conflicts import TRIAL
from common.studies.definition import Definition, to_yaml
from common.studies.identity import Reader, code_fingerprint, identity
from common.studies.layout import FORMAT, StudyDirectory
from common.studies.points import Point

__all__ = ["Plan", "Planned", "plan", "require_backends"]


@dataclass(frozen=True)
class Planned:
    """A point with its identity."""

    point: Point
    id: str
    steps: int  #: at most

    def entry(self) -> dict[str, Any]:
        """What ``study.json`` says of it."""
        return {
            "id": self.id,
            "label": self.point.label,
            "seed": self.point.seed,
            "backend": self.point.backend,
            "run": f"runs/{self.id}/{self.point.backend}",
            "outcome": f"runs/{self.id}.outcome.json",
            "log": f"runs/{self.id}.log",
            "config": f"configs/{self.id}.yaml",
            "steps": self.steps,
        }


class Plan:
    """The points of a study, and what identifies their runs."""

    def __init__(self, definition: Definition, directory: StudyDirectory, code: Mapping[str, str]):
        self.definition, self.directory, self.code = definition, directory, dict(code)
        self.reader = Reader()
        self.points = expansion.expand(definition)
        self.inputs: dict[str, Any] = {}

    def planned(self, point: Point) -> Planned:
        """``point`` with its identity; everything that it reads is read.

        Raises:
            InputError: it cannot be trained.
        """
        self.reader.check(point)
        found = self.reader.fingerprint(point.config)
        name = identity(point.config, point.backend, self.code[point.backend], found)
        self.inputs[name] = found
        return Planned(point, name, self.reader.steps(point.config))

    def refuse_lost(self) -> None:
        """Raise InputError where runs that were made have no point in the definition any more: the tables would lose
        them. Trials of a search are decided from its earlier ones, and compared where these are known."""
        if not self.directory.plan.is_file():
            return
        searching = self.definition.search is not None
        here = [(point.label, point.seed, point.backend) for point in self.points]
        lost = [
            point
            for point in self.directory.points()
            if (point["label"], point["seed"], point["backend"]) not in here
            and not (searching and TRIAL in point["label"])
            and self.directory.state(point) != "missing"
        ]
        self.refuse(lost)

    def refuse(self, points: Iterable[Mapping[str, Any]]) -> None:
        """Raise InputError where there are ``points``, which were run and are no longer in the definition."""
        lost = list(points)
        if lost:
            label = ", ".join(f"{axis}={value}" for axis, value in lost[0]["label"].items())
            raise InputError(
                f"A definition may grow, and what was run stays in the plan; {self.directory.path} has {len(lost)} "
                f"run{'s' * (len(lost) > 1)} that this definition has not, first {label} seed={lost[0]['seed']} "
                f"{lost[0]['backend']}. Add them again, give this study another --name, or leave them out with --drop "
                "(their directories stay)."
            )

    def write(self, every: Sequence[Planned]) -> None:
        """Store the definition, the configuration of every point, and last the plan."""
        self.directory.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.directory.definition, to_yaml(self.definition))
        for one in every:
            self.write_config(one)
        searched = self.definition.search
        axes = expansion.axes_of([one.point for one in every] or self.points)
        plan = {
            "format": FORMAT,
            "name": self.definition.name,
            "definition": dataclasses.asdict(self.definition),
            "tables": [dataclasses.asdict(table) for table in self.definition.tables],
            "axes": axes,
            "points": [one.entry() for one in every],
            "fingerprints": {"code": self.code, "inputs": {one.id: self.inputs[one.id] for one in every}},
            "search": dataclasses.asdict(searched) if searched else None,
        }
        write_json(self.directory.plan, plan)

    def write_config(self, planned: Planned) -> None:
        """Store the configuration that the run of a point has."""
        path = self.directory.path / "configs" / f"{planned.id}.yaml"
        text = config_to_yaml(dataclasses.replace(planned.point.config, name=planned.id))
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # the data may lie elsewhere now
            write_atomic(path, text)


def plan(definition: Definition, output: Path, same_code: bool = False) -> Plan:
    """The plan of ``definition`` in ``output/<name>``; nothing is written.

    Args:
        same_code: take the runs that are there for runs of this code, whatever has changed in it since.

    Raises:
        InputError: a configuration is wrong, or with ``same_code`` no plan is there.
    """
    directory = StudyDirectory(Path(output, definition.name).resolve())
    code = {backend: code_fingerprint(backend) for backend in definition.backends}
    if same_code:
        before = directory.read_plan()["fingerprints"]["code"]
        lacking = [backend for backend in definition.backends if backend not in before]
        if lacking:
            raise InputError(
                f"--same-code keeps the code of a plan; {directory.plan} has none for {lacking[0]}. Leave it out."
            )
        code = {backend: before[backend] for backend in definition.backends}
    return Plan(definition, directory, code)


def require_backends(backends: Iterable[str]) -> None:
    """Raise InputError where one of them is not installed."""
    for backend in dict.fromkeys(backends):
        if not loader.available().get(backend):
            loader.load(backend)  # says what is missing
