"""The model and the plan of a configuration without any weight: shapes alone, so that no size costs memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from common.config import ExperimentConfig
from common.data import DATASETS, load_tokenizer
from common.data.tokenizer_training import is_trained
from common.errors import InputError
from common.methods import METHODS
from common.methods.plan import Plan
from common.methods.unfreezing import with_embeddings
from common.models import FAMILIES, Family
from common.models.checkpoint import locate, read_config
from common.models.layers import LAYERS
from common.models.loading import complete_config, outline
from common.models.specs import ModelSpec
from common.models.structure import read_edits, restructured, split_entries
from common.models.vectors import words_of
from common.models.vocabulary import rows_of_tokens
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
    task, family = configured(config.model), FAMILIES.get(name)
    labels = None if task.example_labels() is None else _labels(config)
    entries = complete_config(family, task, given, config.model, labels, None) | _vocabulary(config, family, given)
    spec = outline(name, config.model.task, entries, labels)
    if config.model.add_tokens and folder is not None and spec.layout is not None:
        added = rows_of_tokens(family, spec.layout, spec.config)
        spec = dataclasses.replace(spec, extended=tuple(name for name, module in added.items() if module.kind.lookup))
    spec = _narrowed(spec, config, recorded)
    integers, word = spec.integers(), np.dtype(np.float32)
    arrays = {
        name: np.broadcast_to(np.zeros((), integers.get(name, word)), shape) for name, shape in spec.shapes().items()
    }
    spec = dataclasses.replace(spec, arrays=arrays)
    return spec, with_embeddings(METHODS.get(config.adaptation.method).plan(config.adaptation, spec), spec)


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
            f"Memory is accounted for plain layers and for those of few bits; {config.model.source} holds "
            f"{', '.join(others)}."
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


def _vocabulary(config: ExperimentConfig, family: Family, given: Mapping[str, Any]) -> dict[str, int]:
    """The number of rows that the tables of words will have, where the model's configuration names none: those of a
    checkpoint with the added tokens, or as many as the tokenizer has. One that is trained is taken to be as large as it
    may be, since no text is read.

    Raises:
        InputError: the tokenizer cannot be read.
    """
    model = config.model
    source = model.tokenizer or model.source
    assert source is not None  # `common.config.rules`
    if model.source:
        if not model.add_tokens:
            return {}
        held = int(given.get("vocab_size", family.DEFAULTS["vocab_size"]))
        return {"vocab_size": max(held, len(load_tokenizer(source, added=model.add_tokens)))}
    if "vocab_size" in model.config:
        return {}
    if is_trained(source):
        size = source.partition(":")[2]
        words = words_of(model.vectors) if model.vectors and model.vectors_vocabulary else ()
        return {"vocab_size": int(size) + len(model.add_tokens) + len(words)} if size.isdecimal() else {}
    return {"vocab_size": len(configured(model).fitted(load_tokenizer(source, added=model.add_tokens)))}
