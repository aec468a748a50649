"""Small encoder-decoders and pairs of sequences for the tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from common.config.schema import ModelConfig
from common.methods import METHODS
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.specs import ModelSpec
from common.random import normal
from common.tasks.example import example_batch

FAMILIES_OF_PAIRS = ("transformer", "seq2seq_lstm")
TASK, VOCABULARY, PADDING = "sequence-to-sequence", 40, 0
LENGTHS = (7, 3, 5)


def pair_spec(family: str, options: dict[str, Any] | None = None, dropout: float = 0.0, **entries: Any) -> ModelSpec:
    """A tiny encoder-decoder of which no parameter is zero or one."""
    tiny = {"model_type": family, "vocab_size": VOCABULARY, **FAMILIES.get(family).tiny(), **entries}
    config = ModelConfig(None, TASK, None, dropout, tiny, options or {})
    spec = load_model_spec(config, None, VOCABULARY, PADDING, 0)
    shifted = {name: array + normal(0, f"shift.{name}", array.shape, 0.3) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def full_plan(spec: ModelSpec) -> Plan:
    """Everything is trained."""
    method = METHODS.get("full")
    return method.plan(method.example(()), spec)


def pair_batch(spec: ModelSpec, key: str = "pairs") -> dict[str, np.ndarray]:
    """Three pairs of uneven lengths."""
    return dict(example_batch(spec, LENGTHS, key))
