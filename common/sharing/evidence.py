"""Whether the run beside this one, of the other backend, was the same computation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.report.runs import Run, common_steps, read_run, relative_difference

__all__ = ["agreement_with_counterpart"]

_FIRST = 50  #: steps: rounding differences grow with every update


def agreement_with_counterpart(path: Path, summary: Mapping[str, Any]) -> str | None:
    """A sentence on the losses of a run and of the run of the same settings and base model that another backend made
    beside it, ``runs/NAME/OTHER_BACKEND``; None where there is none."""
    own = read_run(path, summary)
    for other in sorted(path.resolve().parent.glob("*/summary.json")):
        if other.parent == path.resolve():
            continue
        try:
            found = read_run(other.parent)
            if _same_experiment(own, found):
                return _sentence(own, found)
        except InputError:  # unfinished, damaged, or without a common step: no evidence
            continue
    return None


def _same_experiment(own: Run, other: Run) -> bool:
    fingerprints = [run.summary["model"].get("fingerprint") for run in (own, other)]
    return (
        own.summary["backend"] != other.summary["backend"]
        and own.summary["settings"] == other.summary["settings"]
        and None not in fingerprints
        and fingerprints[0] == fingerprints[1]
    )


def _sentence(own: Run, other: Run) -> str:
    steps, first, second = common_steps(own, other)
    difference = relative_difference(first, second)
    early = difference[steps <= _FIRST]
    parts = [f"{early.max():.1e} over the first {_FIRST} steps"] if len(early) and len(early) < len(steps) else []
    parts.append(f"{difference.max():.1e} over all {len(steps):,} common steps")
    return (
        f"The same experiment was trained in {other.backend} too, from the same weights and data. The largest relative "
        f"difference of the training losses is {' and '.join(parts)}."
    )
