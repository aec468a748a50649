"""The model and the plan of a configuration without any weight: shapes alone, so that no size costs memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.config import ExperimentConfig
from common.data import DATASETS
from common.data.tokenizer_training import is_trained
from common.errors import InputError
from common.methods import METHODS
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.checkpoint import locate, read_config
from common.models.layers import LAYERS
from common.models.loading import complete_config, outline
from common.models.specs import ModelSpec
from common.models.structure import read_edits, restructured, split_entries
from common.tasks import configured

__all__ = ["outlined"]

_CLASSES = ("class0", "class1")  #: where neither the configuration nor the data set names the classes


def outlined(config: ExperimentConfig) -> tuple[ModelSpec, Plan]:
    """The model with arrays of zeros that occupy no memory, and the plan.

    Raises:
        InputError: the model's configuration cannot be read, is none of a family here, or holds other layers.
    """
    folder = locate(config.model.source) if config.model.source else None
    given, recorded = split_entries(read_config(folder) if folder else {})
    name = str(config.model.config.get("model_type", given.get("model_type")))
    if name not in FAMILIES:
        known = ", ".join(FAMILIES.names())
        raise InputError(f"Memory is accounted for the families {known}; {config.model.source} is a {name}.")
    task = configured(config.model)
    labels = None if task.example_labels() is None else _labels(config)
    entries = complete_config(FAMILIES.get(name), task, given, config.model, labels, None)
    spec = outline(name, config.model.task, entries | _vocabulary(config), labels)
    spec = _narrowed(spec, config, recorded)
    integers, word = spec.integers(), np.dtype(np.float32)
    arrays = {
        name: np.broadcast_to(np.zeros((), integers.get(name, word)), shape) for name, shape in spec.shapes().items()
    }
    spec = dataclasses.replace(spec, arrays=arrays)
    return spec, METHODS.get(config.adaptation.method).plan(config.adaptation, spec)


def _narrowed(spec: ModelSpec, config: ExperimentConfig, recorded: Mapping[str, Any]) -> ModelSpec:
    """With the layers of few bits of ``model.quantize``, or of a model folder.

    Raises:
        InputError: the folder has other structural edits.
    """
    family = FAMILIES.get(spec.family)
    edits = read_edits(recorded, spec.modules, family.backbone(spec.config).prefix, family.OPTIONAL)
    others = sorted({edit.layer for edit in edits if not LAYERS.get(edit.layer).frozen})
    if others:
        raise InputError(
            f"Memory is accounted for plain layers and for those of few bits; {config.model.source} holds {', '.join(others)}."
        )
    spec = restructured(spec, edits, {})
    if config.model.quantize is None:
        return spec
    from common.compression.narrow import base_of

    member, options = base_of(config.model.quantize)
    return member.outlined(spec, options)


def _labels(config: ExperimentConfig) -> tuple[str, ...]:
    entry = DATASETS.get(config.data.name)
    return config.data.label_names or (entry.label_names if entry else None) or _CLASSES


def _vocabulary(config: ExperimentConfig) -> dict[str, int]:
    """The size that a new tokenizer will have, where the model's configuration names none."""
    source = str(config.model.tokenizer)
    size = source.partition(":")[2]
    if config.model.source or "vocab_size" in config.model.config or not is_trained(source) or not size.isdecimal():
        return {}
    return {"vocab_size": int(size)}
