"""``metrics.jsonl``: what happened in a run, one JSON object a line, and the numbers a summary takes from it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.files import write_atomic

__all__ = ["RunLog", "durations", "read_log"]


class RunLog:
    """Appends events; every line is on disk when ``write`` returns. ``keep`` is the number of lines that a resumed run continues after."""

    def __init__(self, path: Path, keep: int = 0):
        path = Path(path)
        kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:keep] if keep else []
        write_atomic(path, "".join(kept))
        self.lines = len(kept)
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  (open for the length of the run)

    def write(self, event: dict[str, Any]) -> None:
        """Append one event. NaN and infinities are refused, as JSON has none."""
        self._file.write(json.dumps(event, allow_nan=False) + "\n")
        self.lines += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path, event: str) -> list[dict[str, Any]]:
    """Every ``event`` ("step" or "evaluation") of a log, in order."""
    events = (json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [entry for entry in events if entry["event"] == event]


def durations(
    steps: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]]
) -> tuple[dict[str, float], float | None]:
    """Where the seconds went, and the median of a training step (None before the first)."""
    training, evaluation = (sum(event["duration"] for event in events) for events in (steps, evaluations))
    total = max((event["seconds"] for event in (*steps, *evaluations)), default=0.0)
    median = statistics.median(step["duration"] for step in steps) if steps else None
    return {"total": total, "training": training, "evaluation": evaluation}, median
