"""The random batch of tests, parity suites and benchmarks: one for every family and task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.api_mapping.arrays import draw as draw_array
from common.api_mapping.arrays import integers
from common.backend.batch import CHARACTER_AXIS, SENTENCE_AXIS, SEQUENCES, Batch
from common.models import FAMILIES
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["example_batch"]

_CHARACTERS = 8  #: of the longest word
_WORDS = 5  #: of every sentence but the last one


def example_batch(spec: ModelSpec, lengths: Sequence[int], key: str, width: int | None = None) -> Batch:
    """A right-padded batch of random ids with one row for each entry of ``lengths``, every target given.

    It depends on ``key`` and the sizes alone, not on backend, device or NumPy's generators.

    Args:
        width: tokens of a row; the longest length by default.
    """
    width = width or max(lengths)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int32)

    def draw(name: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        return draw_array(integers(*shape, low=low, high=high, dtype="int32"), f"{key}|{name}")

    batch: dict[str, np.ndarray] = {}
    for field in FAMILIES.get(spec.family).INPUTS if spec.family in FAMILIES else spec.schema.fields:
        if CHARACTER_AXIS in field.axes:
            assert field.bound is not None
            long = draw(f"{field.name} of words", mask.shape, 1, _CHARACTERS + 1) * mask
            values = draw(field.name, (*mask.shape, _CHARACTERS), 1, spec.config[field.bound])
            batch[field.name] = np.where(np.arange(_CHARACTERS) < long[..., None], values, 0).astype(np.int32)
        elif field.bound is not None:
            padding = (spec.config.get("pad_token_id") or 0) if field.padding == "pad_id" else field.padding
            real = _second(mask) if field.sequence == SEQUENCES[1] else mask
            values = draw(field.name, real.shape, int(field.padding == "pad_id"), spec.config[field.bound])
            batch[field.name] = np.where(real == 1, values, padding).astype(np.int32)
        elif field.default is not None and (field.per_token or SENTENCE_AXIS in field.axes):
            batch[field.name] = (mask * int(field.default)).astype(np.int32)
        if SENTENCE_AXIS in field.axes:
            batch[field.name] = _sentences(batch[field.name])
    return batch | TASKS.get(spec.task).example_targets(spec, batch, draw)


def _sentences(array: np.ndarray) -> np.ndarray:
    """``(rows, width)`` as ``(rows, sentences, words)``."""
    rows, width = array.shape
    return np.pad(array, ((0, 0), (0, -width % _WORDS))).reshape(rows, -1, _WORDS)


def _second(mask: np.ndarray) -> np.ndarray:
    """Which tokens of the second sequences are real, ``(rows, width + 1)``: other lengths than the first ones have."""
    return np.pad(mask[::-1], ((0, 0), (1, 0)), constant_values=1)
