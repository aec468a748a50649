"""Where one run of a study stands, from its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from common.studies.layout import StudyDirectory
from common.training.rundir import RunDirectory

__all__ = ["last_step", "state_of", "step_seconds"]


def state_of(directory: StudyDirectory, point: Mapping[str, Any]) -> dict[str, Any]:
    """Identity, label, state, the last step that was logged, seconds, attempts and the error of a point."""
    outcome = directory.outcome(point)
    return {
        "id": point["id"],
        "label": point["label"],
        "seed": point["seed"],
        "backend": point["backend"],
        "state": directory.state(point),
        "step": last_step(directory.run(point)),
        "steps": point["steps"],
        "seconds": outcome.seconds if outcome else None,
        "attempts": outcome.attempts if outcome else 0,
        "error": outcome.error if outcome else None,
    }


def last_step(run: RunDirectory) -> int:
    """The last optimizer step in the log of a run."""
    return max((event["step"] for event in _events(run)), default=0)


def step_seconds(run: RunDirectory) -> tuple[float, int]:
    """Seconds of a run so far, evaluations included, and the steps done in them."""
    events = _events(run)
    return max((event["seconds"] for event in events), default=0.0), max((event["step"] for event in events), default=0)


def _events(run: RunDirectory) -> list[dict[str, Any]]:
    """The whole lines of a log, also of a run that is writing it."""
    if not run.metrics.is_file():
        return []
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]
