"""Small encoder-decoders and pairs of sequences for the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
from tests.support import assert_all_near
from tests.tolerances import GRADIENT, ROUNDED

FAMILIES_OF_PAIRS = ("transformer", "seq2seq-lstm")
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


def assert_gradients(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """The same gradients. Those that are 0 but for rounding, as that of a bias of keys is, which a softmax does not
    see, are so in both."""
    largest = max(np.abs(array).max() for array in expected.values())
    kept = {name for name, array in expected.items() if np.abs(array).max() > ROUNDED * largest}
    assert_all_near({n: actual[n] for n in kept}, {n: expected[n] for n in kept}, GRADIENT)
    for name in expected.keys() - kept:
        assert np.abs(actual[name]).max() < 10 * ROUNDED * largest, name
    assert {name for name in expected.keys() - kept if not name.endswith("k_proj.bias")} == set()
