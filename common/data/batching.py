"""Batches of NumPy arrays in a deterministic order. The layout is that of ``common.backend``: int32, padded on the
right, labels already shifted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from common.backend.batch import CHARACTER_AXIS, EVALUATION, SENTENCE_AXIS, Batch, Field
from common.data.encoding import Encoded, Ragged
from common.data.sentences import COLUMN as SENTENCES
from common.data.sentences import places
from common.errors import InputError

__all__ = ["EVALUATION", "BatchPlan", "collate", "evaluation_batches"]

_POOL = 50  #: global batches whose examples are sorted by length together
_SENTENCES = 4  #: numbers of sentences are padded to a multiple of it
_CHARACTERS = 16  #: characters of words are padded to a multiple of it


class BatchPlan:
    """The order of training: a function of (data, sizes, seed, epoch) only, every example exactly once an epoch.

    An epoch is shuffled, cut into pools of 50 global batches, sorted by length (`common.data.encoding.Encoded.sizes`)
    within each pool, cut into batches, and the batches are shuffled. Examples left over after the last full batch are
    drawn before sorting, so that they are not the longest ones, and come last.
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
        sizes = self.encoded.sizes
        batches = []
        for start in range(0, full, _POOL * size):
            pool = order[start : min(start + _POOL * size, full)]
            pool = pool[np.argsort(sizes[pool], kind="stable")]
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
        apart: give every batch examples of one padded shape, so that none is padded to its neighbours.
    """
    order = np.argsort(encoded.sizes, kind="stable")
    for group in _of_one_shape(encoded, order, length_multiple) if apart else (order,):
        for start in range(0, len(group), batch_size):
            indices = group[start : start + batch_size]
            batch = collate(encoded, indices, batch_size, length_multiple)
            yield indices, encoded.task.corrupt(batch, encoded, indices, EVALUATION)


def _of_one_shape(encoded: Encoded, order: np.ndarray, length_multiple: int) -> list[np.ndarray]:
    """Examples that have one shape alone, in order."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for index in order:
        alone = collate(encoded, np.array([index]), 1, length_multiple)
        groups.setdefault(tuple(array.shape for array in alone.values()), []).append(index)
    return [np.array(group) for group in groups.values()]


def _permutation(random: np.random.Philox, count: int) -> np.ndarray:
    """A permutation from raw generator words, whose stream NumPy promises to keep; that of ``Generator.permutation``
    may change."""
    return np.argsort(random.random_raw(count), kind="stable")


def collate(encoded: Encoded, indices: np.ndarray, rows: int, length_multiple: int) -> dict[str, np.ndarray]:
    """One batch of ``rows`` rows, padded to its longest example rounded up; further rows have no target."""
    return {field.name: _array(encoded, field, indices, rows, length_multiple) for field in encoded.schema.fields}


def _width(encoded: Encoded, lengths: np.ndarray, length_multiple: int) -> int:
    longest = int(lengths.max())
    return min(-(-longest // length_multiple) * length_multiple, encoded.max_length)


def _array(encoded: Encoded, field: Field, indices: np.ndarray, rows: int, length_multiple: int) -> np.ndarray:
    column = encoded.columns.get(field.name)
    if column is None and field.default is None:
        raise InputError(f"A batch needs {field.name}, and the encoded data have {', '.join(encoded.columns)}.")
    padding = encoded.pad_id if field.padding == "pad_id" else field.padding
    if field.per_token:
        inner = column.values.shape[1:] if isinstance(column, Ragged) else ()
        lengths = encoded.lengths_of(field)[indices]
        array = np.full((rows, _width(encoded, lengths, length_multiple), *inner), padding, field.dtype)
        for row, index in enumerate(indices):
            array[row, : lengths[row]] = field.default if column is None else column[index]
        if CHARACTER_AXIS in field.axes:
            array = _trimmed(array)
    elif SENTENCE_AXIS in field.axes:
        array = _nested(encoded, field, indices, rows, length_multiple, padding)
    else:
        sizes = {"label": len(encoded.label_names)}
        column = cast("np.ndarray | None", column)  # `Ragged` is for fields along the sequence
        inner = tuple(sizes.get(axis, 0) for axis in field.axes[1:]) if column is None else column.shape[1:]
        array = np.full((rows, *inner), padding, field.dtype)
        array[: len(indices)] = field.default if column is None else column[indices]
    if field.first is not None:
        array.reshape(rows, -1)[len(indices) :, 0] = field.first
    return array


def _nested(
    encoded: Encoded, field: Field, indices: np.ndarray, rows: int, length_multiple: int, padding: float | str
) -> np.ndarray:
    """``(rows, sentences, words)``: as many sentences as the longest document has and as many words as the longest
    sentence, both rounded up."""
    counts = cast("Ragged", encoded.columns[SENTENCES])
    column = encoded.columns.get(field.name)
    most = max(len(counts[index]) for index in indices)
    longest = max(int(counts[index].max()) for index in indices)
    shape = (rows, -(-most // _SENTENCES) * _SENTENCES, -(-longest // length_multiple) * length_multiple)
    array = np.full(shape, padding, field.dtype)
    for row, index in enumerate(indices):
        sentence, place = places(counts[index])
        array[row, sentence, place] = field.default if column is None else column[index]
    return array


def _trimmed(characters: np.ndarray) -> np.ndarray:
    """``(rows, width, characters)`` up to the longest word, rounded up."""
    used = np.flatnonzero(characters.any(axis=(0, 1)))
    longest = int(used[-1]) + 1 if len(used) else 1
    return characters[:, :, : -(-longest // _CHARACTERS) * _CHARACTERS]
