"""What the best state says to each example of a split, kept in a run directory for its report.

``predictions/<split>.json`` holds the names of the classes, and for each example its class, the predicted one and the
probability of that, as three lists; and the texts of some: the first of the split, so that runs on the same data can be
laid side by side, and the surest mistakes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import InputError
from common.files import write_atomic
from common.reading import read_json
from common.tasks.task import Classified, Evaluator, Task

if TYPE_CHECKING:
    import datasets

__all__ = ["FIRST", "SUREST", "Predictions", "read_predictions", "write_predictions"]

FIRST = 200  #: examples of which the texts are kept
SUREST = 20  #: mistakes of which they are kept as well
_LONGEST = 400  #: characters of a text
_REMEDY = "Score the run again, or leave the file out: the report is then written without it."
_SHAPE = {"labels": [str], "target": [int], "predicted": [int], "confidence": [float], "texts": {...: str}}


class Predictions:
    """Of one split.

    Args:
        found: what the file holds.
    """

    def __init__(self, found: Mapping[str, Any]):
        self.labels: tuple[str, ...] = tuple(found["labels"])
        self.target = np.array(found["target"], np.int64)
        self.predicted = np.array(found["predicted"], np.int64)
        self.confidence = np.array(found["confidence"], np.float64)
        self.texts: dict[int, str] = {int(index): text for index, text in found["texts"].items()}

    @property
    def right(self) -> np.ndarray:
        """Booleans ``(examples,)``."""
        return self.target == self.predicted


def write_predictions(
    path: Path, task: Task, evaluator: Evaluator, rows: datasets.Dataset, labels: Sequence[str] | None
) -> None:
    """Write what ``evaluator`` saw of a split; nothing for a task without classes.

    Args:
        path: the file.
        rows: the split, with the task's roles as columns.
        labels: names of the classes.
    """
    found = task.classified(evaluator)
    if found is None or labels is None:
        return
    shown = _shown(found)
    columns = [role.name for role in task.roles if not role.target and role.name in rows.column_names]
    picked = rows.select(shown)
    texts = zip(*(picked[column] for column in columns), strict=True)
    content = {
        "labels": list(labels),
        "target": found.target.tolist(),
        "predicted": found.predicted.tolist(),
        "confidence": [round(float(value), 4) for value in found.confidence],
        "texts": {str(index): _short(" | ".join(map(str, text))) for index, text in zip(shown, texts, strict=True)},
    }
    write_atomic(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_predictions(path: Path) -> Predictions | None:
    """What a run wrote; None where there is no such file.

    Raises:
        InputError: it is damaged.
    """
    if not path.is_file():
        return None
    found = read_json(path, "the predictions of a run", _REMEDY, _SHAPE)
    counts = {name: len(found[name]) for name in ("target", "predicted", "confidence")}
    if len(set(counts.values())) != 1:
        raise InputError(
            f"{path} must hold as many targets as predictions and probabilities; received {counts}. {_REMEDY}"
        )
    known = range(len(found["labels"]))
    if any(value not in known for name in ("target", "predicted") for value in found[name]):
        raise InputError(f"{path} names classes from 0 to {len(known) - 1}; received others. {_REMEDY}")
    return Predictions(found)


def _shown(found: Classified) -> list[int]:
    count = len(found.target)
    wrong = np.flatnonzero(found.target != found.predicted)
    surest = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:SUREST]
    return sorted({*range(min(FIRST, count)), *surest.tolist()})


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"
