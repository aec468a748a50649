"""Where one run of a study stands, from its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.reading import parse_json, read_bytes
from common.studies.layout import StudyDirectory
from common.training.rundir import RunDirectory
from common.training.runlog import LARGEST

__all__ = ["last_step", "logged", "state_of", "step_seconds"]

_WHAT = "the log of a run"
_REMEDY = "Restore it from a copy, or remove the directory of the run: `twinlora study run` makes it again."


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
    return max((event["step"] for event in logged(run)), default=0)


def step_seconds(run: RunDirectory) -> tuple[float, int]:
    """Seconds of a run so far, evaluations included, and the steps done in them."""
    events = logged(run)
    return max((event.get("seconds", 0.0) for event in events), default=0.0), max(
        (event["step"] for event in events), default=0
    )


def logged(run: RunDirectory) -> list[dict[str, Any]]:
    """The whole lines of a log, also of a run that is writing it.

    Raises:
        InputError: a line is no event.
    """
    if not run.metrics.is_file():
        return []
    content = read_bytes(run.metrics, _WHAT, _REMEDY, LARGEST)
    lines = [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
    shape = {"event": str, "step": int, "seconds?": float}
    return [
        parse_json(line, f"{run.metrics}, line {number}", _WHAT, _REMEDY, shape)
        for number, line in enumerate(lines, start=1)
    ]
