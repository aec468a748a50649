"""The last state of a run: one file that is either whole or not there. Beside it stands of which step the best state is
that was written last, which may be newer: where a run ends in between, the one before it is gone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from common.backend import Engine
from common.errors import InputError
from common.files import load_arrays, save_arrays, write_json
from common.reading import parse_json, read_json

__all__ = ["INTEGERS", "load_checkpoint", "mark_best", "marked_best", "save_checkpoint"]

INTEGERS = re.compile(r"optimizer\.step$")  #: the names of integers in the file, for `load_arrays`
_STOPPING = {"best": float | None, "best_step": int | None, "without_improvement": int}
_PROGRESS = {
    "step": int,
    "evaluated_step": int | None,
    "seconds": float,
    "data_seconds?": float,
    "log_lines": int,
    "micro_batch?": int,
    "stopping": _STOPPING,
}
_MARK = "best.json"
_REMEDY = "Start again with --overwrite, or get the run directory from a copy."


def save_checkpoint(path: Path, engine: Engine, progress: dict[str, Any]) -> None:
    """Write trained parameters, optimizer state and ``progress`` (plain data) as one safetensors file, which is on the
    disk when this returns."""
    path.parent.mkdir(exist_ok=True)  # without its parents: a run directory that was deleted is not made again
    arrays = {f"trainable.{name}": array for name, array in engine.trainable().items()}
    arrays |= {f"optimizer.{name}": array for name, array in engine.state().items()}
    save_arrays(path, arrays, {"progress": json.dumps(progress)})


def load_checkpoint(path: Path, engine: Engine) -> dict[str, Any]:
    """Put the state back into ``engine`` and return ``progress``.

    Raises:
        InputError: the file is missing, damaged or of another model.
    """
    arrays, metadata = load_arrays(path, INTEGERS)
    if "progress" not in metadata:
        raise InputError(f"{path} is no checkpoint of a run: its metadata lacks progress. {_REMEDY}")
    progress = parse_json(metadata["progress"], f"{path}", "the progress of a run", _REMEDY, _PROGRESS)
    for prefix, load in (("trainable.", engine.load_trainable), ("optimizer.", engine.load_state)):
        load({name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)})
    return progress


def mark_best(checkpoint: Path, step: int) -> None:
    """Say that the best state, which is about to be written, will be that of ``step``."""
    checkpoint.parent.mkdir(exist_ok=True)
    write_json(checkpoint.with_name(_MARK), {"step": step})


def marked_best(checkpoint: Path) -> int | None:
    """The step of the best state that was written last, perhaps not to its end; None where nothing says so."""
    path = checkpoint.with_name(_MARK)
    return (
        int(read_json(path, "the step of the best state", _REMEDY, {"step": int})["step"]) if path.is_file() else None
    )
