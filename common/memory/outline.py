"""The model and the plan of a configuration without any weight: shapes alone, so that no size costs memory."""

from __future__ import annotations

import dataclasses

import numpy as np

from common.config import ExperimentConfig
from common.data import DATASETS
from common.errors import InputError
from common.methods import METHODS
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.checkpoint import locate, read_config
from common.models.loading import complete_config, outline
from common.models.specs import ModelSpec
from common.models.structure import split_entries
from common.tasks import configured

__all__ = ["outlined"]

_CLASSES = ("class0", "class1")  #: where neither the configuration nor the data set names the classes


def outlined(config: ExperimentConfig) -> tuple[ModelSpec, Plan]:
    """The model with arrays of zeros that occupy no memory, and the plan.

    Raises:
        InputError: the model's configuration cannot be read, is none of a family here, or holds structural edits.
    """
    folder = locate(config.model.source) if config.model.source else None
    given, recorded = split_entries(read_config(folder) if folder else {})
    name = str(config.model.config.get("model_type", given.get("model_type")))
    if name not in FAMILIES or recorded.get("edits"):
        known = ", ".join(FAMILIES.names())
        what = "holds structural edits" if recorded.get("edits") else f"is a {name}"
        raise InputError(f"Memory is accounted for the plain families {known}; {config.model.source} {what}.")
    task = configured(config.model)
    labels = None if task.example_labels() is None else _labels(config)
    entries = complete_config(FAMILIES.get(name), task, given, config.model, labels, None)
    spec = outline(name, config.model.task, entries | _vocabulary(config), labels)
    shapes = {name: shape for module in spec.modules for name, shape in module.shapes().items()}
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    spec = dataclasses.replace(spec, arrays=arrays)
    return spec, METHODS.get(config.adaptation.method).plan(config.adaptation, spec)


def _labels(config: ExperimentConfig) -> tuple[str, ...]:
    entry = DATASETS.get(config.data.name)
    return config.data.label_names or (entry.label_names if entry else None) or _CLASSES


def _vocabulary(config: ExperimentConfig) -> dict[str, int]:
    """The size that a new tokenizer will have, where the model's configuration names none."""
    source, size = str(config.model.tokenizer).partition(":")[::2]
    if config.model.source or "vocab_size" in config.model.config or source != "bpe" or not size.isdigit():
        return {}
    return {"vocab_size": int(size)}
