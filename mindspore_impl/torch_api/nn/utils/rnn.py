"""``torch.nn.utils.rnn``: sequences of different lengths, padded or packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import mindspore as ms
import numpy as np
from mindspore import ops

from mindspore_impl.torch_api.tensor import Tensor

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences without padding: the first step of each, then the second, and so on, the longest sequence first."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *arguments: Any, **keywords: Any) -> PackedSequence:
        return self._replace(data=self.data.to(*arguments, **keywords))

    def cpu(self) -> PackedSequence:
        return self

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda


def _long(values: Any) -> Tensor:
    return Tensor(ms.Tensor(np.asarray(values, np.int64)))


def _lengths(lengths: Any) -> np.ndarray:
    return np.asarray(lengths.detach().numpy() if isinstance(lengths, Tensor) else lengths, np.int64)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Drop the padding of ``(length, batch, ...)`` or, with ``batch_first``, ``(batch, length, ...)``."""
    counts = _lengths(lengths)
    batch_axis = 0 if batch_first else 1
    if counts.size != input.size(batch_axis):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {counts.size} (batch_size={input.size(batch_axis)})"
        )
    if (counts <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if counts.max() > input.size(1 - batch_axis):
        raise RuntimeError(f"a length of {counts.max()} is larger than the input's {input.size(1 - batch_axis)} steps")
    order = None
    if enforce_sorted and (np.diff(counts) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement."
        )
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
    rows = np.arange(counts.size) if order is None else order
    sizes = [(counts > step).sum() for step in range(counts.max())]
    flat = input.raw if batch_first else ops.swapaxes(input.raw, 0, 1)
    width = flat.shape[1]
    places = np.concatenate([rows[:size] * width + step for step, size in enumerate(sizes)])
    data = ops.gather(ops.reshape(flat, (-1, *flat.shape[2:])), ms.Tensor(places), 0)
    inverse = None if order is None else _long(np.argsort(order))
    return PackedSequence(Tensor(data), _long(sizes), None if order is None else _long(order), inverse)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded batch and the lengths of a packed one."""
    sizes = np.array(sequence.batch_sizes.tolist())
    length = len(sizes) if total_length is None else total_length
    if length < len(sizes):
        raise ValueError(
            f"Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={length} and max sequence length being {len(sizes)}"
        )
    batch = int(sizes[0])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    held = sequence.data.raw
    places = np.full((batch, length), held.shape[0], np.int64)  # the row after the last is padding
    for step, size in enumerate(sizes):
        places[:size, step] = starts[step] + np.arange(size)
    counts = (places < held.shape[0]).sum(1)
    if sequence.unsorted_indices is not None:
        back = np.array(sequence.unsorted_indices.tolist())
        places, counts = places[back], counts[back]
    padding = ops.full((1, *held.shape[1:]), padding_value, dtype=held.dtype)
    rows = ops.cat((held, padding), 0)
    padded = ops.gather(rows, ms.Tensor(places if batch_first else np.ascontiguousarray(places.T)), 0)
    return Tensor(padded), _long(counts)


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Stack sequences of different lengths."""
    longest = max(sequence.size(0) for sequence in sequences)
    rows = []
    for sequence in sequences:
        held = sequence.raw
        missing = longest - held.shape[0]
        if missing:
            padding = ops.full((missing, *held.shape[1:]), padding_value, dtype=held.dtype)
            held = ops.cat((held, padding) if padding_side == "right" else (padding, held), 0)
        rows.append(held)
    return Tensor(ops.stack(rows, 0 if batch_first else 1))


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [rows[place, : int(count)] for place, count in enumerate(_lengths(lengths))]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences of different lengths."""
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)
