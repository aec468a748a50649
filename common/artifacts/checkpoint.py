"""A whole model on disk: a Hugging Face checkpoint folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.files import load_arrays
from common.methods.plan import Plan
from common.models.checkpoint import save_pretrained
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
    """Write config.json and model.safetensors; ``arrays`` are all parameters. See `save_pretrained`."""
    save_pretrained(folder, spec, arrays)


def load(folder: Path, plan: Plan, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Inverse of ``save``."""
    arrays, _ = load_arrays(Path(folder) / "model.safetensors")
    if spec.companion is not None:
        theirs, _ = load_arrays(Path(folder) / spec.companion.name / "model.safetensors")
        arrays = gathered(spec.companion, arrays, theirs)
    check_arrays(plan.shapes(), arrays)
    return arrays
