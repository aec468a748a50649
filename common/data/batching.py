"""Batches of NumPy arrays in a deterministic order. The layout is that of ``common.backend``: int32, padded on the right, labels already shifted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.backend import IGNORE, Batch
from common.data.encoding import Encoded
from common.errors import InputError

__all__ = ["BatchPlan", "evaluation_batches"]

_POOL = 50  #: global batches whose examples are sorted by length together


class BatchPlan:
    """The order of training: a function of (data, sizes, seed, epoch) only, every example exactly once an epoch.

    An epoch is shuffled, cut into pools of 50 global batches, sorted by length within each pool, cut into batches, and the batches are
    shuffled. Examples left over after the last full batch are drawn before sorting, so that they are not the longest ones, and come last.
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
        """Yield the micro-batches of each step from step ``start`` of the epoch on, all of ``micro_batch_size`` rows."""
        for step in self.indices(epoch)[start:]:
            yield [
                _collate(self.encoded, step[i : i + self.micro_batch_size], self.micro_batch_size, self.length_multiple)
                for i in range(0, len(step), self.micro_batch_size)
            ]


def evaluation_batches(encoded: Encoded, batch_size: int, length_multiple: int) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield (indices, batch) over all examples, shortest first; row r of the batch is example ``indices[r]``, further rows are unscored filling."""
    order = np.argsort(encoded.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, _collate(encoded, indices, batch_size, length_multiple)


def _permutation(random: np.random.Philox, count: int) -> np.ndarray:
    """A permutation from raw generator words, whose stream NumPy promises to keep; that of ``Generator.permutation`` may change."""
    return np.argsort(random.random_raw(count), kind="stable")


def _collate(encoded: Encoded, indices: np.ndarray, rows: int, length_multiple: int) -> Batch:
    """One batch of ``rows`` rows, padded to its longest example rounded up; rows without an example attend to their first token only."""
    longest = int(encoded.lengths[indices].max())
    width = min(-(-longest // length_multiple) * length_multiple, encoded.max_length)
    is_language = encoded.kind != "classification"
    input_ids = np.full((rows, width), encoded.pad_id, np.int32)
    attention_mask = np.zeros((rows, width), np.int32)
    attention_mask[len(indices) :, 0] = 1
    labels = np.full((rows, width) if is_language else (rows,), IGNORE, np.int32)
    for row, index in enumerate(indices):
        tokens = encoded.tokens[encoded.starts[index] : encoded.stops[index]]
        length = len(tokens) - is_language
        input_ids[row, :length] = tokens[:length]
        attention_mask[row, :length] = 1
        if is_language:
            first = encoded.labels[index]
            labels[row, first - 1 : length] = tokens[first:]
        else:
            labels[row] = encoded.labels[index]
    batch = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
    if encoded.family == "bert":
        batch["token_type_ids"] = np.zeros((rows, width), np.int32)
    return batch
