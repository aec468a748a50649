"""The last state of a run: one file that is either whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.backend import Engine
from common.errors import InputError
from common.files import load_arrays, save_arrays

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, engine: Engine, progress: dict[str, Any]) -> None:
    """Write trained parameters, optimizer state and ``progress`` (plain data) as one safetensors file."""
    arrays = {f"trainable.{name}": array for name, array in engine.trainable().items()}
    arrays |= {f"optimizer.{name}": array for name, array in engine.state().items()}
    save_arrays(path, arrays, {"progress": json.dumps(progress)})


def load_checkpoint(path: Path, engine: Engine) -> dict[str, Any]:
    """Put the state back into ``engine`` and return ``progress``.

    Raises:
        InputError: the file is missing, damaged or of another model.
    """
    arrays, metadata = load_arrays(path)
    if "progress" not in metadata:
        raise InputError(
            f"{path} is no checkpoint of a run: its metadata lacks progress. Start again with --overwrite."
        )
    for prefix, load in (("trainable.", engine.load_trainable), ("optimizer.", engine.load_state)):
        load({name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)})
    return json.loads(metadata["progress"])
