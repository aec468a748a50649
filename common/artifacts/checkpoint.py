"""A whole model on disk: a Hugging Face checkpoint folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.methods.plan import Plan
from common.models.checkpoint import read_checkpoint, save_pretrained
from common.models.companions import gathered
from common.models.specs import ModelSpec
from common.strict import check_arrays

__all__ = ["FOLDER", "WHOLE", "load", "save"]

FOLDER = "model"  #: in a run directory
WHOLE = True  #: whether it holds the base model too


def save(
    folder: Path,
    plan: Plan,
    spec: ModelSpec,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write config.json and model.safetensors: the trained ``arrays``, and what was not trained as it is in ``spec``.
    See `save_pretrained`."""
    save_pretrained(folder, spec, {**spec.arrays, **arrays})


def load(folder: Path, plan: Plan, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Inverse of ``save``."""
    held = read_checkpoint(Path(folder))
    if spec.companion is not None:
        held = gathered(spec.companion, held, read_checkpoint(Path(folder) / spec.companion.name))
    arrays = {name: np.asarray(array, np.float32) for name, array in held.items() if name not in spec.frozen}
    check_arrays({name: shape for name, shape in spec.shapes().items() if name not in spec.frozen}, arrays)
    return {name: arrays[name] for name in plan.shapes()}
