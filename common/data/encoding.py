"""Tokenised splits: columns of int32 sequences and of targets, kept on disk under the hash of everything they depend
on. What the columns hold is the task's decision (`common.tasks`); the cache and the containers are here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend.batch import SEQUENCES, BatchSchema, Field
from common.data.characters import character_fields, with_characters
from common.data.sentences import COLUMN as SENTENCES
from common.data.sentences import reads_sentences, with_sentences
from common.errors import InputError
from common.files import write_atomic
from common.resources import cache_folder, code_hash

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

    from common.config.schema import DataConfig
    from common.data.loading import TextData
    from common.tasks.task import Task

__all__ = ["Columns", "Encoded", "Ragged", "beginning", "encode", "encode_rows", "tokenize"]

_MAKERS = ("common.data", "common.tasks")  #: packages whose code decides what the arrays are: part of the cache key
_CHUNK = 1000
_DIGEST = 32  #: bytes of the sha256 that a cache file begins with
_TRUNCATED = "truncated"


@dataclass(frozen=True)
class Ragged:
    """One sequence an example: example i is ``values[starts[i]:stops[i]]``; sequences may overlap."""

    values: np.ndarray  #: (values, ...)
    starts: np.ndarray  #: (examples,) int64
    stops: np.ndarray  #: (examples,) int64

    @classmethod
    def of(cls, sequences: Sequence[np.ndarray]) -> Ragged:
        """Sequences one after the other."""
        stops = np.cumsum([len(sequence) for sequence in sequences], dtype=np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])
        return cls(np.concatenate(sequences), starts, stops)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, example: int) -> np.ndarray:
        return self.values[self.starts[example] : self.stops[example]]

    @property
    def lengths(self) -> np.ndarray:
        """(examples,) int32."""
        return (self.stops - self.starts).astype(np.int32)


Columns = dict[str, "Ragged | np.ndarray"]


@dataclass(frozen=True)
class Encoded:
    """One tokenised split.

    ``columns`` are named as the fields of the batch; ``Ragged`` for those along the sequence, otherwise one row an
    example. Fields without a column are filled with their default.
    """

    task: Task
    schema: BatchSchema
    columns: Mapping[str, Ragged | np.ndarray]
    pad_id: int
    max_length: int
    truncated: int = 0  #: examples of which tokens were cut off
    tokens: Mapping[str, int] = field(default_factory=dict)  #: special tokens by name, and ``vocabulary``
    label_names: tuple[str, ...] = ()  #: of the task's classes, by index

    def __len__(self) -> int:
        return len(self.lengths)

    def subset(self, indices: np.ndarray) -> Encoded:
        """These examples alone, numbered anew."""
        columns = {
            name: Ragged(column.values, column.starts[indices], column.stops[indices])
            if isinstance(column, Ragged)
            else np.asarray(column)[indices]
            for name, column in self.columns.items()
        }
        return dataclasses.replace(self, columns=columns)

    @property
    def lengths(self) -> np.ndarray:
        """Input length of each example, (examples,) int32."""
        sequences = next(column for column in self.columns.values() if isinstance(column, Ragged))
        return sequences.lengths

    @property
    def sizes(self) -> np.ndarray:
        """By which examples are sorted, so that those of a batch need little padding, (examples,) int64: their lengths;
        or, of documents, their numbers of sentences, and among equal ones their longest sentences."""
        counts = self.columns.get(SENTENCES)
        if not isinstance(counts, Ragged):
            return self.lengths.astype(np.int64)
        longest = np.maximum.reduceat(counts.values, counts.starts)
        return counts.lengths.astype(np.int64) * 2**32 + longest

    def lengths_of(self, field: Field) -> np.ndarray:
        """Length of each example along the sequence of ``field``, (examples,) int32."""
        if field.sequence == SEQUENCES[0]:
            return self.lengths
        names = (other.name for other in self.schema.fields if other.sequence == field.sequence)
        return next(column.lengths for name in names if isinstance(column := self.columns.get(name), Ragged))

    @property
    def labels(self) -> Any:
        """The column ``labels``."""
        return self.columns["labels"]


def encode(
    data: TextData, split: str, tokenizer: PreTrainedTokenizerFast, config: DataConfig, task: Task, schema: BatchSchema
) -> Encoded:
    """Tokenise one split, or read it from the cache (``$TWINLORA_CACHE`` or ``~/.cache/twinlora``).

    Raises:
        InputError: the split does not exist, or the task cannot encode it (see `common.tasks.task.Task.encode`).
    """
    rows = _split(data, split)
    characters = character_fields(schema)
    made = "".join(f" {name}" for name in characters) + f" {SENTENCES}" * reads_sentences(schema)
    path = _cache_path(f"{task.name} {task.options}{made}", rows, tokenizer, config.max_length)
    stored = _read_cache(path)
    if stored is None:
        columns, truncated = _columns(rows, tokenizer, config, task, schema)
        stored = _packed(columns) | {_TRUNCATED: np.array(truncated, np.int64)}
        _write_cache(path, stored)
    truncated = int(stored.pop(_TRUNCATED))
    return _encoded(_unpacked(stored), truncated, data, tokenizer, config, task, schema)


def encode_rows(
    data: TextData, split: str, tokenizer: PreTrainedTokenizerFast, config: DataConfig, task: Task, schema: BatchSchema
) -> Encoded:
    """As `encode`, past the cache: for texts that are read once, such as those that somebody asks about."""
    columns, truncated = _columns(_split(data, split), tokenizer, config, task, schema)
    return _encoded(columns, truncated, data, tokenizer, config, task, schema)


def _columns(
    rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, config: DataConfig, task: Task, schema: BatchSchema
) -> tuple[Columns, int]:
    """What the task and the inputs of the family need, and the number of examples that were cut."""
    columns, truncated = task.encode(rows, tokenizer, config.max_length)
    characters = character_fields(schema)
    if characters:
        columns = with_characters(columns, rows, characters)
    if reads_sentences(schema):
        columns = with_sentences(columns, rows, tokenizer)
    return columns, truncated


def _split(data: TextData, name: str) -> datasets.Dataset:
    if name not in data.splits:
        raise InputError(f"There is no {name} split; the data set has {', '.join(data.splits)}.")
    return data.splits[name]


def _encoded(
    columns: Columns,
    truncated: int,
    data: TextData,
    tokenizer: PreTrainedTokenizerFast,
    config: DataConfig,
    task: Task,
    schema: BatchSchema,
) -> Encoded:
    special = {"mask": tokenizer.mask_token_id, "end": tokenizer.eos_token_id, "vocabulary": len(tokenizer)}
    known = {name: number for name, number in special.items() if number is not None}
    names = data.label_names or ()
    return Encoded(task, schema, columns, tokenizer.pad_token_id, config.max_length, truncated, known, names)


def tokenize(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, **options: object) -> Iterator[np.ndarray]:
    """Ids of each text, (length,) int32; in chunks, so that Python lists of a whole corpus never exist."""
    texts = list(texts)
    for start in range(0, len(texts), _CHUNK):
        part = texts[start : start + _CHUNK]
        for ids in tokenizer(part, verbose=False, return_attention_mask=False, **options)["input_ids"]:
            yield np.asarray(ids, np.int32)


def beginning(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The ids that every text begins with where the tokenizer says so, as Llama's do with their begin-of-text token;
    nothing for GPT-2's."""
    bos = tokenizer.bos_token_id
    begun = bos is not None and tokenizer("a", verbose=False)["input_ids"][:1] == [bos]
    return [bos] if begun else []


def _packed(columns: Columns) -> dict[str, np.ndarray]:
    packed: dict[str, np.ndarray] = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            packed |= {f"{name}|{part}": getattr(column, part) for part in ("values", "starts", "stops")}
        else:
            packed[name] = column
    return packed


def _unpacked(arrays: Mapping[str, np.ndarray]) -> Columns:
    names = dict.fromkeys(name.partition("|")[0] for name in arrays)
    return {
        name: arrays[name]
        if name in arrays
        else Ragged(*(arrays[f"{name}|{part}"] for part in ("values", "starts", "stops")))
        for name in names
    }


def _cache_path(task: str, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Path:
    """The file named by a hash of every value and setting, each preceded by its length so that no two inputs read
    alike."""
    digest = hashlib.sha256()
    settings: tuple[str, ...]
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)  # tasks and templates write them
    settings = (_code(), task, str(max_length), special, tokenizer.truncation_side)
    settings += (str(tokenizer.chat_template),)
    state = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}  # of the last call
    settings += (json.dumps(state),)
    for name in sorted(rows.column_names):
        settings += (name, str(len(rows)), *map(str, rows[name]))
    for item in settings:
        content = item.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return cache_folder() / "encoded" / f"{digest.hexdigest()}.cache"


@functools.cache
def _code() -> str:
    """Hash of what makes arrays of texts, in this version of the project and of plugins."""
    return code_hash(_MAKERS)


def _read_cache(path: Path) -> dict[str, np.ndarray] | None:
    """The cached arrays, or None when there are none or the bytes are not those that were written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return None
    with np.load(io.BytesIO(content[_DIGEST:])) as archive:
        return dict(archive)


def _write_cache(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    try:
        write_atomic(path, hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    except OSError:
        return  # the cache only saves time: a read-only or full home directory must not stop a run
