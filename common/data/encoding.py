"""Tokenised splits: ragged int32 sequences, kept on disk under the hash of everything they depend on.

``classification``: the text with the tokenizer's special tokens, truncated to ``max_length``.
``text``: every text followed by one end-of-text token, all joined and cut into inputs of ``max_length`` tokens. Consecutive blocks share one
token, so that every token but the split's first is predicted exactly once; the last, shorter block is kept.
``completion``: prompt, ``SEPARATOR``, text, end of text; only the text and its end are predicted. Cut after ``max_length`` inputs.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.backend import IGNORE
from common.config.schema import DataConfig
from common.data.loading import TextData
from common.errors import InputError
from common.files import write_atomic

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

__all__ = ["SEPARATOR", "Encoded", "encode", "encode_prompts"]

SEPARATOR = " ||"  #: between prompt and text, as in the E2E experiments of Hu et al. 2021
_FORMAT = "1"  #: part of the cache key; raise it when the meaning of the arrays changes
_CHUNK = 1000
_DIGEST = 32  #: bytes of the sha256 that a cache file begins with


@dataclass(frozen=True)
class Encoded:
    """One tokenised split. Example i is ``tokens[starts[i]:stops[i]]``; in language modelling its last token is a label only."""

    kind: str  #: classification, text or completion
    family: str  #: of the model: decides which arrays a batch has
    pad_id: int
    max_length: int
    tokens: np.ndarray  #: (tokens,) int32
    starts: np.ndarray  #: (examples,) int64
    stops: np.ndarray  #: (examples,) int64
    labels: np.ndarray  #: (examples,) int32 class indices, IGNORE where unpublished; of language models: index of the first predicted token
    truncated: int  #: examples of which tokens were cut off

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        """Input length of each example, (examples,) int32."""
        return (self.stops - self.starts - (self.kind != "classification")).astype(np.int32)

    @property
    def scored(self) -> int:
        """Number of labels that count in the loss: examples, or predicted tokens."""
        if self.kind == "classification":
            return int(np.count_nonzero(self.labels != IGNORE))
        return int(np.sum(self.stops - self.starts - self.labels))


def encode(data: TextData, split: str, tokenizer: PreTrainedTokenizerFast, config: DataConfig, family: str) -> Encoded:
    """Tokenise one split, or read it from the cache (``$TWINLORA_CACHE`` or ``~/.cache/twinlora``).

    Raises:
        InputError: the split does not exist, the tokenizer has no end-of-text token though language modelling needs one,
            an example has no token, or a prompt leaves no room for its text.
    """
    if split not in data.splits:
        raise InputError(f"There is no {split} split; the data set has {', '.join(data.splits)}.")
    if data.kind != "classification" and tokenizer.eos_token_id is None:
        raise InputError(
            "Language modelling needs a tokenizer with an end-of-text token; this one has none. Use a GPT-2 tokenizer or bpe:SIZE."
        )
    columns = data.splits[split]
    path = _cache_path(data.kind, columns, tokenizer, config.max_length)
    arrays = _read_cache(path)
    if arrays is None:
        build = {"classification": _classification, "text": _text, "completion": _completion}[data.kind]
        arrays = build(columns, tokenizer, config.max_length)
        _write_cache(path, arrays)
    truncated = int(arrays.pop("truncated"))
    return Encoded(data.kind, family, tokenizer.pad_token_id, config.max_length, truncated=truncated, **arrays)


def encode_prompts(prompts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Token ids of prompts as ``completion`` data conditions on them, separator included."""
    return [
        ids.tolist()
        for ids in _tokenize((prompt + SEPARATOR for prompt in prompts), tokenizer, add_special_tokens=False)
    ]


def _tokenize(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, **options: object) -> Iterator[np.ndarray]:
    """Ids of each text, (length,) int32; in chunks, so that Python lists of a whole corpus never exist."""
    texts = list(texts)
    for start in range(0, len(texts), _CHUNK):
        for ids in tokenizer(texts[start : start + _CHUNK], verbose=False, return_attention_mask=False, **options)[
            "input_ids"
        ]:
            yield np.asarray(ids, np.int32)


def _ragged(sequences: list[np.ndarray], labels: Iterable[int], truncated: int) -> dict[str, np.ndarray]:
    stops = np.cumsum([len(ids) for ids in sequences], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])
    return {
        "tokens": np.concatenate(sequences),
        "starts": starts,
        "stops": stops,
        "labels": np.array(labels, np.int32),
        "truncated": np.int64(truncated),
    }


def _classification(
    columns: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> dict[str, np.ndarray]:
    texts = list(columns["text"])
    special = tokenizer.num_special_tokens_to_add()
    if max_length <= special:
        raise InputError(
            f"data.max_length must exceed the {special} special tokens of the tokenizer; received {max_length}."
        )
    sequences, truncated = [], 0
    for row, ids in enumerate(_tokenize(texts, tokenizer)):
        if len(ids) == 0:
            raise InputError(f"Example {row + 1}: the tokenizer finds no token in {texts[row]!r}. Remove the example.")
        if len(ids) > max_length:
            # The special tokens at the end (of BERT, [SEP]) must survive, so the tokenizer itself truncates.
            ids = np.asarray(tokenizer(texts[row], truncation=True, max_length=max_length)["input_ids"], np.int32)
            truncated += 1
        sequences.append(ids)
    labels = list(columns["label"]) if "label" in columns.column_names else [IGNORE] * len(sequences)
    return _ragged(sequences, labels, truncated)


def _text(columns: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> dict[str, np.ndarray]:
    end = np.array([tokenizer.eos_token_id], np.int32)
    parts = [part for ids in _tokenize(columns["text"], tokenizer, add_special_tokens=False) for part in (ids, end)]
    tokens = np.concatenate(parts)
    if len(tokens) < 2:
        raise InputError(
            "Language modelling needs at least two tokens in a split, since the first one is not predicted."
        )
    starts = np.arange(0, len(tokens) - 1, max_length, dtype=np.int64)
    stops = np.minimum(starts + max_length + 1, len(tokens))
    return {
        "tokens": tokens,
        "starts": starts,
        "stops": stops,
        "labels": np.ones(len(starts), np.int32),
        "truncated": np.int64(0),
    }


def _completion(
    columns: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> dict[str, np.ndarray]:
    end = np.array([tokenizer.eos_token_id], np.int32)
    prompts = _tokenize((prompt + SEPARATOR for prompt in columns["prompt"]), tokenizer, add_special_tokens=False)
    texts = _tokenize((" " + text for text in columns["text"]), tokenizer, add_special_tokens=False)
    sequences, labels, truncated = [], [], 0
    for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        if len(prompt) > max_length:
            raise InputError(
                f"Example {row + 1}: its prompt of {len(prompt)} tokens leaves no room for a text. Set data.max_length above {len(prompt)}."
            )
        ids = np.concatenate([prompt, text, end])
        truncated += len(ids) > max_length + 1
        sequences.append(ids[: max_length + 1])
        labels.append(len(prompt))
    return _ragged(sequences, labels, truncated)


def _cache_path(kind: str, columns: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Path:
    """The file named by a hash of every text, label and setting, each preceded by its length so that no two inputs read alike."""
    digest = hashlib.sha256()
    settings = (
        _FORMAT,
        kind,
        str(max_length),
        SEPARATOR,
        str(tokenizer.eos_token_id),
        tokenizer.truncation_side,
        tokenizer.backend_tokenizer.to_str(),
    )
    for name in sorted(columns.column_names):
        settings += (name, str(len(columns)), *map(str, columns[name]))
    for item in settings:
        content = item.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    root = os.environ.get("TWINLORA_CACHE") or Path.home() / ".cache" / "twinlora"
    return Path(root) / "encoded" / f"{digest.hexdigest()}.cache"


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


def _write_cache(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    try:
        write_atomic(path, hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    except OSError:
        return  # the cache only saves time: a read-only or full home directory must not stop a run
