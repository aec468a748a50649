"""The study directory: which file is where, and what was planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.reading import read_json, safe_child
from common.studies.outcome import ENDED, FINISHED, Outcome, read_outcome
from common.training.rundir import RunDirectory

__all__ = ["FORMAT", "StudyDirectory"]

FORMAT = 1  #: of study.json
_REMEDY = "Plan the study again: twinlora study run with its definition."
_POINT = {
    "id": str,
    "label": {...: object},
    "seed": int,
    "backend": str,
    "run": str,
    "outcome": str,
    "log": str,
    "config": str,
    "steps": int,
}
_PLAN = {
    "format": int,
    "name": str,
    "definition": {...: object},
    "tables": [{...: object}],
    "axes": {...: [object]},
    "points": [_POINT],
    "fingerprints": {"code": {...: str}, "inputs": {...: object}},
    "search": ({...: object}, None),
}


@dataclass(frozen=True)
class StudyDirectory:
    """A directory with the plan and the runs of one study."""

    path: Path

    @property
    def definition(self) -> Path:
        return self.path / "study.yaml"

    @property
    def plan(self) -> Path:
        return self.path / "study.json"

    @property
    def search(self) -> Path:
        return self.path / "search.json"

    @property
    def storage(self) -> Path:
        return self.path / "optuna.db"

    @property
    def stop(self) -> Path:
        """The study ends its runs and itself where this file appears."""
        return self.path / "cancel"

    def read_plan(self) -> dict[str, Any]:
        """``study.json``.

        Raises:
            InputError: there is none, or it is none.
        """
        if not self.plan.is_file():
            raise InputError(f"A study directory holds study.json; {self.path} does not. {_REMEDY}")
        plan = read_json(self.plan, "the plan of a study", _REMEDY, _PLAN)
        if plan["format"] != FORMAT:
            raise InputError(f"{self.plan} must be of format {FORMAT}; it is of format {plan['format']}. {_REMEDY}")
        return plan

    def points(self) -> list[dict[str, Any]]:
        """The points of the plan. Raises as `read_plan`."""
        return self.read_plan()["points"]

    def run(self, point: Mapping[str, Any]) -> RunDirectory:
        """Where a point is trained."""
        return RunDirectory(safe_child(self.path, point["run"], f"{self.plan}"))

    def outcome(self, point: Mapping[str, Any]) -> Outcome | None:
        """What became of a point; None: not begun, still running, or its study was killed.

        A run that came to its end without an outcome (the study was killed in between) counts as finished, and one
        whose directory is gone as not begun, whatever its outcome says.
        """
        found = read_outcome(safe_child(self.path, point["outcome"], f"{self.plan}"))
        if found is not None and found.status == FINISHED and not self.run(point).complete():
            return None
        if (found is None or found.status not in ENDED) and self.run(point).complete():
            return Outcome(FINISHED, exit_code=0, seconds=_seconds(self.run(point))).after(found)
        return found

    def state(self, point: Mapping[str, Any]) -> str:
        """``finished``, ``failed``, ``timeout``, ``memory``, ``pruned``, ``interrupted``, ``begun`` (it runs, or its
        study was killed) or ``missing``."""
        found = self.outcome(point)
        if found is not None:
            return found.status
        return "begun" if self.run(point).metrics.is_file() else "missing"


def _seconds(run: RunDirectory) -> float:
    """Of a run whose study did not live to measure it, by its own summary."""
    return float((read_json(run.summary, "the summary of a run", _REMEDY).get("seconds") or {}).get("total", 0.0))
