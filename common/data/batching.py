"""Batches of NumPy arrays in a deterministic order. The layout is that of ``common.backend``: int32, padded on the
right, labels already shifted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from common.backend.batch import EVALUATION, Batch, Field
from common.data.encoding import Encoded, Ragged
from common.errors import InputError

__all__ = ["EVALUATION", "BatchPlan", "collate", "evaluation_batches"]

_POOL = 50  #: global batches whose examples are sorted by length together


class BatchPlan:
    """The order of training: a function of (data, sizes, seed, epoch) only, every example exactly once an epoch.

    An epoch is shuffled, cut into pools of 50 global batches, sorted by length within each pool, cut into batches, and
    the batches are shuffled. Examples left over after the last full batch are drawn before sorting, so that they are
    not the longest ones, and come last.
    """

    def __init__(
        self, encoded: Encoded, global_batch_size: int, micro_batch_size: int | None, length_multiple: int, seed: int
    ) -> None:
        """``micro_batch_size`` None computes a global batch at once.

        Raises:
            InputError: a size is below 1, or the global batch is no multiple of the micro-batch.
        """
        micro_batch_size = micro_batch_size or global_batch_size
        if min(global_batch_size, micro_batch_size, length_multiple) < 1:
            raise InputError(
                f"Batch sizes and data.length_multiple must be at least 1; received {global_batch_size}, {micro_batch_size}, {length_multiple}."
            )
        if global_batch_size % micro_batch_size:
            raise InputError(
                f"training.global_batch_size must be a multiple of micro_batch_size; received {global_batch_size} and {micro_batch_size}."
            )
        self.encoded = encoded
        self.global_batch_size = global_batch_size
        self.micro_batch_size = micro_batch_size
        self.length_multiple = length_multiple
        self.seed = seed
        self.steps_per_epoch = -(-len(encoded) // global_batch_size)

    def indices(self, epoch: int) -> list[np.ndarray]:
        """Example indices of every step of an epoch; only the last may hold fewer than the global batch size."""
        random = np.random.Philox(key=[self.seed, epoch])
        order = _permutation(random, len(self.encoded))
        size = self.global_batch_size
        full = len(order) // size * size
        lengths = self.encoded.lengths
        batches = []
        for start in range(0, full, _POOL * size):
            pool = order[start : min(start + _POOL * size, full)]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += np.split(pool, len(pool) // size)
        batches = [batches[i] for i in _permutation(random, len(batches))]
        return batches + ([order[full:]] if full < len(order) else [])

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """Yield the micro-batches of each step from step ``start`` of the epoch on, all of ``micro_batch_size``
        rows."""
        size = self.micro_batch_size
        for step in self.indices(epoch)[start:]:
            parts = (step[i : i + size] for i in range(0, len(step), size))
            yield list(self.encoded.task.weighted([self._batch(part, (self.seed, epoch)) for part in parts]))

    def _batch(self, indices: np.ndarray, key: tuple[int, int]) -> Batch:
        batch = collate(self.encoded, indices, self.micro_batch_size, self.length_multiple)
        return self.encoded.task.corrupt(batch, self.encoded, indices, key)


def evaluation_batches(
    encoded: Encoded, batch_size: int, length_multiple: int, apart: bool = False
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield (indices, batch) over all examples, shortest first; row r of the batch is example ``indices[r]``, further
    rows are unscored filling.

    Args:
        apart: give every batch examples of one padded length, so that none is padded to its neighbours.
    """
    order = np.argsort(encoded.lengths, kind="stable")
    widths = np.minimum(-(-encoded.lengths[order] // length_multiple) * length_multiple, encoded.max_length)
    for group in np.split(order, np.flatnonzero(np.diff(widths)) + 1) if apart else (order,):
        for start in range(0, len(group), batch_size):
            indices = group[start : start + batch_size]
            batch = collate(encoded, indices, batch_size, length_multiple)
            yield indices, encoded.task.corrupt(batch, encoded, indices, EVALUATION)


def _permutation(random: np.random.Philox, count: int) -> np.ndarray:
    """A permutation from raw generator words, whose stream NumPy promises to keep; that of ``Generator.permutation``
    may change."""
    return np.argsort(random.random_raw(count), kind="stable")


def collate(encoded: Encoded, indices: np.ndarray, rows: int, length_multiple: int) -> dict[str, np.ndarray]:
    """One batch of ``rows`` rows, padded to its longest example rounded up; further rows have no target."""
    longest = int(encoded.lengths[indices].max())
    width = min(-(-longest // length_multiple) * length_multiple, encoded.max_length)
    return {field.name: _array(encoded, field, indices, rows, width) for field in encoded.schema.fields}


def _array(encoded: Encoded, field: Field, indices: np.ndarray, rows: int, width: int) -> np.ndarray:
    column = encoded.columns.get(field.name)
    if column is None and field.default is None:
        raise InputError(f"A batch needs {field.name}, and the encoded data have {', '.join(encoded.columns)}.")
    padding = encoded.pad_id if field.padding == "pad_id" else field.padding
    if field.per_token:
        inner = column.values.shape[1:] if isinstance(column, Ragged) else ()
        array = np.full((rows, width, *inner), padding, field.dtype)
        lengths = encoded.lengths
        for row, index in enumerate(indices):
            array[row, : lengths[index]] = field.default if column is None else column[index]
    else:
        sizes = {"label": len(encoded.label_names)}
        column = cast("np.ndarray | None", column)  # `Ragged` is for fields along the sequence
        inner = tuple(sizes.get(axis, 0) for axis in field.axes[1:]) if column is None else column.shape[1:]
        array = np.full((rows, *inner), padding, field.dtype)
        array[: len(indices)] = field.default if column is None else column[indices]
    if field.first is not None:
        array[len(indices) :, 0] = field.first
    return array
