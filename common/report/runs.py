"""Reading a finished run directory, and the numbers that a report compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.reading import check_shape, read_json, read_json_lines
from common.training.rundir import COMPLETE

__all__ = ["BACKEND_TITLES", "Run", "common_steps", "flatten", "labels", "read_run", "relative_difference", "smooth"]

_NUMBER = float | None
#: what a report reads of a summary; further entries are not looked at
SUMMARY = {
    "name": str,
    "backend": str,
    "device": str,
    "seed": int,
    "status": str,
    "model": {"source?": str | None, "family?": str, "parameters?": int},
    "method": str,
    "data": {"name?": str, "sizes?": {...: int}},
    "steps": int,
    "epochs": float,
    "best_step": int | None,
    "validation": dict | None,
    "test": dict | None,
    "before": dict | None,
    "trainable": {...: int},
    "adapter_bytes": _NUMBER,
    "seconds": {...: _NUMBER},
    "seconds_per_step": _NUMBER,
    "peak_memory_bytes": _NUMBER,
    "versions": {...: str | None},
    "hardware": {"cpu?": str | None, "cores?": int | None, "accelerator?": str | None},
    "settings": dict,
}
_STEP = {
    "event": str,
    "step": float,
    "loss": float,
    "learning_rate": float,
    "duration": float,
    "grad_norm?": float | None,
}
_CURVES = ("step", "loss", "learning_rate", "duration", "grad_norm")
_EVALUATION = {"event": str, "step": float, "split": str, "loss?": _NUMBER, "best?": bool}
_SUMMARY_REMEDY = "A finished run has one: give the directory that `twinlora train` printed, continue the run with --resume, or train again."
_LOG_REMEDY = "Give the directory that `twinlora train` printed; if the file was cut off, train again."
BACKEND_TITLES = {"pytorch": "PyTorch", "mindspore": "MindSpore"}


@dataclass(frozen=True)
class Run:
    """A finished run: its summary, its training curve (float64 arrays of equal length, by ascending step) and its
    evaluations in order."""

    path: Path
    summary: Mapping[str, Any]
    step: np.ndarray
    loss: np.ndarray
    learning_rate: np.ndarray
    duration: np.ndarray  #: seconds of the step, without evaluations
    gradient_norm: np.ndarray  #: before clipping; NaN where it was not logged
    evaluations: tuple[Mapping[str, Any], ...]

    @property
    def backend(self) -> str:
        """The framework's name as its authors write it."""
        return BACKEND_TITLES.get(self.summary["backend"], str(self.summary["backend"]))


def read_run(path: Path, summary: Mapping[str, Any] | None = None) -> Run:
    """Read ``summary.json``, unless ``summary`` is given, and ``metrics.jsonl`` of a run directory.

    Raises:
        InputError: a file is missing or malformed, or the run has not finished or has no training step.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(
            f"A run directory was expected at {path}; there is none. Give the directory that `twinlora train` printed."
        )
    if summary is None:
        summary = _summary(path / "summary.json")
    # A resumed run repeats the steps after its checkpoint: the later record is the one that counts.
    steps: dict[float, tuple[float, ...]] = {}
    evaluations = []
    for place, record in read_json_lines(path / "metrics.jsonl", "the log of a run", _LOG_REMEDY, {"event": str}):
        if record["event"] == "step":
            check_shape(record, _STEP, place, "a step", _LOG_REMEDY)
            values = (record.get(key) for key in _CURVES)
            steps[float(record["step"])] = tuple(math.nan if value is None else float(value) for value in values)
        elif record["event"] == "evaluation":
            check_shape(record, _EVALUATION, place, "an evaluation", _LOG_REMEDY)
            evaluations.append(record)
    if not steps:
        raise InputError(
            f"A report needs at least one training step; {path / 'metrics.jsonl'} has none. Train the run first."
        )
    step, loss, rate, duration, norm = np.array([steps[step] for step in sorted(steps)]).T
    return Run(path, summary, step, loss, rate, duration, norm, tuple(evaluations))


def _summary(file: Path) -> dict[str, Any]:
    summary = read_json(file, "the summary of a run", _SUMMARY_REMEDY, SUMMARY)
    if summary["status"] not in COMPLETE:
        raise InputError(
            f"A report needs a finished run; the status in {file} is {summary['status']!r}. Continue it with --resume or train again."
        )
    return summary


def labels(runs: Sequence[Run]) -> list[str]:
    """The shortest kind of name that tells the runs apart: backend, name, name and seed, path, position."""
    kinds = (
        [run.backend for run in runs],
        [str(run.summary["name"]) for run in runs],
        [f"{run.summary['name']}, seed {run.summary['seed']}" for run in runs],
        [str(run.path) for run in runs],
    )
    return next(
        (kind for kind in kinds if len(set(kind)) == len(runs)), [f"run {number}" for number in range(1, len(runs) + 1)]
    )


def common_steps(a: Run, b: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps that both runs logged, and the loss of each run there.

    Raises:
        InputError: there is no such step.
    """
    steps, in_a, in_b = np.intersect1d(a.step, b.step, return_indices=True)
    if not len(steps):
        raise InputError(
            f"Two curves are compared on the steps that both logged; {a.path} and {b.path} share none. Log both every step."
        )
    return steps, a.loss[in_a], b.loss[in_b]


def relative_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| / max(|a|, |b|), elementwise; 0 where both are 0."""
    scale = np.maximum(np.abs(a), np.abs(b))
    return np.divide(np.abs(a - b), scale, out=np.zeros_like(scale), where=scale > 0)


def smooth(values: np.ndarray, span: int) -> np.ndarray:
    """Centred moving average over ``span`` values (at most as many as there are), fewer at the ends; it has no lag."""
    window = np.ones(span)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names; lists and empty mappings stay values."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        nested = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
