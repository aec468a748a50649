"""``metrics.jsonl``: what happened in a run, one JSON object a line, and the numbers a summary takes from it."""

from __future__ import annotations

import errno
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import write_atomic
from common.reading import parse_json, read_json_lines, read_text

__all__ = ["LARGEST", "RunLog", "check_log", "durations", "read_log"]

LARGEST = 16 * 2**30  #: bytes of a log; a step takes about 240
_WHAT = "the log of a run"
_REMEDY = "Restore it from a copy, or start again with --overwrite."


class RunLog:
    """Appends events. Every line has left the process when ``write`` returns, and is on the disk after ``sync``.

    Args:
        keep: the number of lines that a resumed run continues after; later ones are removed.

    Raises:
        InputError: the file has fewer lines than that.
    """

    def __init__(self, path: Path, keep: int = 0):
        self._path = path = Path(path)
        kept = read_text(path, _WHAT, _REMEDY, LARGEST).splitlines(keepends=True)[:keep] if keep else []
        if len(kept) < keep or (kept and not kept[-1].endswith("\n")):
            raise InputError(
                f"{path}: the checkpoint continues after line {keep} of this log; it has {len(kept)} whole lines at most. {_REMEDY}"
            )
        write_atomic(path, "".join(kept))
        self._lines = len(kept)
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  (open for the length of the run)
        self._synced = True

    @property
    def lines(self) -> int:
        """The number of lines, all of them on the disk: a checkpoint may refer to them."""
        self.sync()
        return self._lines

    def write(self, event: dict[str, Any]) -> None:
        """Append one event. NaN and infinities are refused, as JSON has none.

        Raises:
            FileNotFoundError: the file was deleted or replaced, with its directory or by itself; what is written from
                then on would make a directory that lacks the beginning of the run.
        """
        self.check()
        self._file.write(json.dumps(event, allow_nan=False) + "\n")
        self._lines += 1
        self._synced = False

    def check(self) -> None:
        """Raise FileNotFoundError unless the file that is written is the one at its path."""
        there = os.path.exists(self._path) and os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        if not there:
            raise FileNotFoundError(errno.ENOENT, "The log was deleted or replaced during the run", str(self._path))

    def sync(self) -> None:
        """Have every line on the disk; costs nothing where none was added."""
        if not self._synced:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._synced = True

    def close(self) -> None:
        """Synchronise and close the file."""
        self.sync()
        self._file.close()


def check_log(path: Path, lines: int, step: int, evaluated: int | None) -> None:
    """Check that the first ``lines`` of a log are those that a checkpoint of ``step`` continues.

    Raises:
        InputError: there are fewer, their steps are not 1 to ``step`` in order, or the last evaluation is of another
            step than ``evaluated``.
    """
    text = read_text(path, _WHAT, _REMEDY, LARGEST) if lines or path.exists() else ""
    kept = [line for line in text.splitlines(keepends=True) if line.endswith("\n")][: min(max(lines, 0), len(text))]
    shape = {"event": str, "step": int}
    events = [parse_json(line, f"{path}, line {n}", _WHAT, _REMEDY, shape) for n, line in enumerate(kept, 1)]
    steps = [event["step"] for event in events if event["event"] == "step"]
    scored = [event["step"] for event in events if event["event"] == "evaluation"]
    found = None
    if len(kept) != lines:
        found = f"it has {len(kept)} whole lines"
    elif len(steps) != step or steps != list(range(1, len(steps) + 1)):
        at = next((n for n, other in enumerate(steps, 1) if other != n), len(steps) + 1)
        found = f"where step {at} should stand there is {steps[at - 1] if at <= len(steps) else 'none'}"
    elif evaluated not in (None, -1) and (not scored or scored[-1] != evaluated):
        found = f"its last evaluation is of step {scored[-1] if scored else 'none'} instead of {evaluated}"
    if found:
        raise InputError(
            f"{path} must hold the {lines} lines of the {step} steps, in order, that the checkpoint was saved after; "
            f"{found}. {_REMEDY}"
        )


def read_log(path: Path, event: str) -> list[dict[str, Any]]:
    """Every ``event`` ("step" or "evaluation") of a log, in order.

    Raises:
        InputError: the file is missing, or a line is no event.
    """
    return [entry for _, entry in read_json_lines(path, _WHAT, _REMEDY, {"event": str}) if entry["event"] == event]


def durations(
    steps: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]]
) -> tuple[dict[str, float], float | None]:
    """Where the seconds went, and the median of a training step (None before the first)."""
    training, evaluation = (sum(event["duration"] for event in events) for events in (steps, evaluations))
    total = max((event["seconds"] for event in (*steps, *evaluations)), default=0.0)
    median = statistics.median(step["duration"] for step in steps) if steps else None
    return {"total": total, "training": training, "evaluation": evaluation}, median
