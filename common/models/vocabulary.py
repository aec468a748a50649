"""Embeddings of tokens that are added to a pretrained model's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import InputError
from common.models.family import Family, HeadLayout
from common.models.modules import ModuleSpec

__all__ = ["grown", "modules_of", "rows_of_tokens", "stored_shapes"]


def modules_of(family: Family, layout: HeadLayout, config: Mapping[str, Any]) -> tuple[ModuleSpec, ...]:
    """Backbone and head under a complete configuration."""
    backbone = family.backbone(config)
    return (*backbone.modules, *layout.modules(backbone.width, layout.count(config)))


def rows_of_tokens(family: Family, layout: HeadLayout, config: Mapping[str, Any]) -> dict[str, ModuleSpec]:
    """The parameters with one row for each token, by name, with their modules: those whose shape follows the size of
    the vocabulary."""
    sizes = []
    for size in (config["vocab_size"], config["vocab_size"] + 1):
        modules = modules_of(family, layout, {**config, "vocab_size": size})
        sizes.append({name: (shape, module) for module in modules for name, shape in module.shapes().items()})
    return {name: module for name, (shape, module) in sizes[0].items() if sizes[1][name][0] != shape}


def stored_shapes(shapes: Mapping[str, tuple[int, ...]], names: Sequence[str], size: int) -> dict[str, tuple[int, ...]]:
    """``shapes`` as a checkpoint of ``size`` tokens has them.

    Raises:
        InputError: a transform has replaced a parameter of ``names``.
    """
    missing = [name for name in names if name not in shapes]
    if missing:
        raise InputError(
            f"Tokens cannot be added to a model whose {missing[0]} was compressed. Train the model with model.add_tokens "
            "first, and compress the result; or exclude the embedding from the compression."
        )
    return {**shapes, **{name: (size, *shapes[name][1:]) for name in names}}


def grown(
    loaded: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """``loaded`` with new rows at the end of the parameters ``names``: the mean of the rows that are there, under which
    a language model gives a new token no more probability than others (Hewitt 2021, "Initializing New Word Embeddings
    for Pretrained Language Models"), and 0 of a bias.

    Args:
        shapes: of the model that is built, by name.
    """
    found = dict(loaded)
    for name in names:
        if name in loaded and loaded[name].shape != shapes[name]:
            old = loaded[name]
            mean = old.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32) * (old.ndim > 1)
            found[name] = np.concatenate([old, np.repeat(mean, shapes[name][0] - len(old), axis=0)])
    return found
