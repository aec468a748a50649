"""Batches as data: which arrays a batch has, what their axes mean, and how missing entries are filled.

A batch is a dict of NumPy arrays. Its schema is ``family.INPUTS + task.FIELDS``, which also is the order in which
MindSpore's graphs take them. Padding is on the right. Rows that only fill a batch up have no target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = [
    "CHARACTER_AXIS",
    "EVALUATION",
    "IGNORE",
    "SENTENCE_AXIS",
    "SEQUENCES",
    "Array",
    "Batch",
    "BatchSchema",
    "Field",
]

EVALUATION = (0, 2**32)  #: key of what is drawn for evaluation, beyond every (seed, epoch) of training
IGNORE = -100  #: a label that is ignored by the loss
SEQUENCES = ("seq", "target")  #: axes of which every example has a length of its own
SENTENCE_AXIS = "sentence"  #: sentences of a document, before that of their words
CHARACTER_AXIS = "char"  #: characters of the word at a position, see `common.data.characters`
Array = np.ndarray
Batch = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Field:
    """One array of a batch.

    ``axes``: ``("batch",)`` holds a value an example, ``("batch", "seq")`` one a token and ``("batch", "label")`` one a
    label, ``("batch", "seq", "char")`` one for each character of the word that begins with a token. ``("batch",
    "target")`` holds one for each token of a second sequence, which an encoder-decoder writes and which has lengths of
    its own. ``("batch", "sentence", "word")`` holds one a token, at its place in its sentence
    (`common.data.sentences`). An axis of any other name has a size that the task decides when it masks a batch, and 0
    before. Encoded data that have no column of this name are filled with ``default`` at every real position.
    """

    name: str
    axes: tuple[str, ...]
    dtype: str = "int32"
    padding: float | str = 0  #: after the end of a row and in rows without an example; ``"pad_id"``: the tokenizer's
    default: float | None = None  #: None: the column must be there
    first: float | None = None  #: at the first position of a row without an example; None: as ``padding``
    bound: str | None = None  #: configuration entry that its ids stay below

    @property
    def sequence(self) -> str | None:
        """The axis along which it is padded: of the tokens that are read, or of those that are written; None where
        it has neither."""
        return next((axis for axis in SEQUENCES if axis in self.axes), None)

    @property
    def per_token(self) -> bool:
        """Whether it is padded along a sequence."""
        return self.sequence is not None


@dataclass(frozen=True)
class BatchSchema:
    """The fields of a batch in order."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(field.name for field in self.fields)

    @classmethod
    def of(cls, *groups: Iterable[Field]) -> BatchSchema:
        """The fields of several groups, each name once."""
        found: dict[str, Field] = {}
        for field in (field for group in groups for field in group):
            found.setdefault(field.name, field)
        return cls(tuple(found.values()))
