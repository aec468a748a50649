"""From a model section of the configuration to a complete ``ModelSpec``: every parameter with its starting value."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from common import backend
from common.config.schema import ModelConfig
from common.errors import InputError, nearest
from common.models import bert, gpt2
from common.models.checkpoint import canonical_names, fingerprint, locate, read_checkpoint, read_config
from common.models.specs import ModelSpec, ModuleSpec

__all__ = ["FAMILIES", "load_model_spec"]

FAMILIES: dict[str, ModuleType] = {
    "bert": bert,
    "gpt2": gpt2,
}  #: families with native cells, described here; others exist on PyTorch only


def load_model_spec(
    config: ModelConfig, labels: tuple[str, ...] | None, vocabulary: int, pad_token_id: int | None, seed: int
) -> ModelSpec:
    """Resolve the source, complete the Hugging Face configuration and read or draw every parameter.

    Args:
        labels: names of the classes; None for language modelling.
        vocabulary: number of ids the tokenizer can produce; the embedding must hold them, and has just as many rows in a model built from scratch.
        seed: parameters the checkpoint lacks (a new head, or everything without a source) are drawn from (seed, name).

    Raises:
        InputError: unknown source, family, task or configuration entry, or a checkpoint that does not fit.
    """
    folder = locate(config.source) if config.source else None
    given = read_config(folder) if folder else {}
    family = config.config.get("model_type", given.get("model_type"))
    if family is None:
        raise InputError(
            f'Without model.source, model.config must name its "model_type": one of {", ".join(FAMILIES)}. Received {dict(config.config)}.'
        )
    if family not in FAMILIES:
        return backend.load("pytorch").describe(config, folder, given, labels, pad_token_id, seed)
    module = FAMILIES[family]
    if config.task not in module.TASKS:
        raise InputError(
            f"{family} has no {config.task} here; it has {', '.join(module.TASKS)}. Choose one as model.task, or another model.source."
        )
    complete = complete_config(module, given, config, labels, pad_token_id)
    if folder is None and "vocab_size" not in config.config:
        complete["vocab_size"] = vocabulary
    if (
        folder is None and pad_token_id is not None and "eos_token_id" in module.DEFAULTS
    ):  # a new vocabulary has one special token, for all three uses
        complete |= {key: pad_token_id for key in ("bos_token_id", "eos_token_id") if key not in config.config}
    width, heads = (complete[key] for key in module.HEADS)
    if width % heads:
        raise InputError(
            f"{module.HEADS[0]} must be a multiple of {module.HEADS[1]}; received {width} and {heads}. Set both in model.config."
        )
    if vocabulary > complete["vocab_size"]:
        raise InputError(
            f"The tokenizer produces {vocabulary} ids but the model has {complete['vocab_size']} embeddings. "
            f"Use the tokenizer of {config.source}, or set model.config.vocab_size."
        )
    modules, head = module.modules(complete, config.task), module.head(config.task)
    shapes = {name: shape for spec in modules for name, shape in spec.shapes().items()}
    tied = tuple(spec.path for spec in modules if spec.tied_to)
    loaded = canonical_names(read_checkpoint(folder), shapes, module.PREFIX, head, tied) if folder else {}
    drawn = _draw(module, modules, complete, seed, loaded)
    base = loaded or drawn
    return ModelSpec(
        family,
        config.task,
        complete,
        modules,
        head,
        loaded | drawn,
        fingerprint(base),
        config.source,
        tuple(drawn) if folder else (),
    )


def complete_config(
    family: ModuleType,
    given: Mapping[str, Any],
    config: ModelConfig,
    labels: tuple[str, ...] | None,
    pad_token_id: int | None,
) -> dict[str, Any]:
    """Defaults, then the checkpoint's entries, then ``model.config`` and ``model.dropout``, then the labels."""
    unknown = [key for key in config.config if key not in family.DEFAULTS and key not in given]
    if unknown:
        raise InputError(
            f"model.config.{unknown[0]} is not an entry of a {family.DEFAULTS['model_type']} configuration.{nearest(unknown[0], family.DEFAULTS)}"
        )
    _check_types(family, {**given, **config.config})
    complete = {**family.DEFAULTS, **given, **config.config, "architectures": [family.TASKS[config.task]]}
    if config.dropout is not None:
        complete |= dict.fromkeys(family.DROPOUTS, config.dropout)
    if pad_token_id is not None:
        complete["pad_token_id"] = pad_token_id
    if labels is not None:
        complete |= {
            "num_labels": len(labels),
            "id2label": {str(i): name for i, name in enumerate(labels)},
            "label2id": {name: i for i, name in enumerate(labels)},
        }
    return complete


def _check_types(family: ModuleType, entries: Mapping[str, Any]) -> None:
    """An entry must be of the kind that the family's default has; null is left to whoever reads it."""
    problems = []
    for name, default in family.DEFAULTS.items():
        value = entries.get(name)
        if value is None or default is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = {
            int: number and isinstance(value, int) and value >= 0,
            float: number and value >= 0,
            str: isinstance(value, str),
        }.get(type(default), True)
        if not right:
            kind = {int: "a whole number of at least 0", float: "a number of at least 0", str: "a name"}[type(default)]
            problems.append(f"model.config.{name} must be {kind}; received {value!r}")
    if problems:
        raise InputError("; ".join(problems) + ". Correct it in the experiment file, or in the model's config.json.")


def _draw(
    family: ModuleType,
    modules: tuple[ModuleSpec, ...],
    config: Mapping[str, Any],
    seed: int,
    loaded: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    return {
        name: family.initial(module, name, shape, config, seed)
        for module in modules
        for name, shape in module.shapes().items()
        if name not in loaded
    }
