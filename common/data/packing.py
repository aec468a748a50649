"""Examples of masked language modelling: token ids, and the number of every token's word.

Four ways of filling an example of ``max_length`` tokens with the special tokens around them, named by `PACKINGS`:

    blocks          the texts, joined with the tokenizer's separator between them, are cut anywhere
    full_sentences  whole sentences one after the other while they fit; where a document ends, the next one follows
                    behind a separator (FULL-SENTENCES of Liu et al. 2019)
    doc_sentences   the same, but an example ends with its document (DOC-SENTENCES)
    lines           every text is an example of its own, cut at ``max_length``

Word starts are known from the tokenizer: from the words that it splits a text into, and from white space before a
token, since a tokenizer of the SentencePiece kind may take a whole text for one word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from common.data.documents import documents
from common.data.encoding import Columns, Ragged
from common.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "SENTENCES",
    "Packing",
    "Piece",
    "Surroundings",
    "columns_of",
    "pack",
    "pieces",
    "surroundings",
    "word_numbers",
]

Packing = Literal["blocks", "full_sentences", "doc_sentences", "lines"]
SENTENCES = ("full_sentences", "doc_sentences")  #: the packings that read documents
Numbers = Sequence["int | None"]
_CHUNK = 1000


@dataclass(frozen=True)
class Piece:
    """Tokens of a text, a sentence or an example: ids and numbers of their words (-1: special), both int32 ``(n,)``."""

    ids: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Piece:
        return Piece(self.ids[part], self.words[part])

    @classmethod
    def special(cls, ids: Sequence[int]) -> Piece:
        """Tokens that belong to no word."""
        return cls(np.asarray(ids, np.int32), np.full(len(ids), -1, np.int32))

    @classmethod
    def joined(cls, parts: Sequence[Piece]) -> Piece:
        """One after the other; words are counted on."""
        words, first = [], 0
        for part in parts:
            words.append(np.where(part.words < 0, -1, part.words + first).astype(np.int32))
            first += int(part.words.max(initial=-1)) + 1
        return cls(np.concatenate([part.ids for part in parts]).astype(np.int32), np.concatenate(words))


@dataclass(frozen=True)
class Surroundings:
    """Special tokens before, between (of a pair) and after texts."""

    before: Piece
    between: Piece
    after: Piece

    @property
    def size(self) -> int:
        """Their number."""
        return len(self.before) + len(self.between) + len(self.after)


def surroundings(tokenizer: PreTrainedTokenizerFast, pair: bool = False) -> Surroundings:
    """What ``tokenizer`` puts around a text, or around and between two."""
    encoding = tokenizer("a", "a") if pair else tokenizer("a")
    owners = encoding.sequence_ids(0)
    inside = [position for position, owner in enumerate(owners) if owner is not None]
    ids = encoding["input_ids"]
    between = [ids[i] for i in range(inside[0], inside[-1]) if owners[i] is None]
    return Surroundings(Piece.special(ids[: inside[0]]), Piece.special(between), Piece.special(ids[inside[-1] + 1 :]))


def word_numbers(text: str, owners: Numbers, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """The number of each token's word from 0, ``(tokens,)`` int32; -1 for special tokens.

    Args:
        owners: the word that the tokenizer says each token is of; None for special tokens.
        offsets: where each token begins and ends in ``text``.
    """
    found, number = np.full(len(owners), -1, np.int32), -1
    before, stop, blank = None, 0, False
    for index, (owner, (start, end)) in enumerate(zip(owners, offsets, strict=True)):
        if owner is None:
            before = None
            continue
        spaced = start >= stop and start < end and (text[start].isspace() or (start > 0 and text[start - 1].isspace()))
        number += owner != before or (spaced and not blank)
        found[index] = number
        before, stop, blank = owner, max(stop, end), text[start:end].isspace()
    return found


def pieces(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, **options: Any) -> Iterator[Piece]:
    """The tokens of every text; without words where it has none."""
    for start in range(0, len(texts), _CHUNK):
        part = list(texts[start : start + _CHUNK])
        for text, encoding in zip(part, tokenizer(part, verbose=False, **options).encodings, strict=True):
            yield Piece(np.asarray(encoding.ids, np.int32), word_numbers(text, encoding.word_ids, encoding.offsets))


def pack(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_length: int, packing: str, kind: str
) -> tuple[list[Piece], int]:
    """The examples, special tokens included, and the number of texts of which tokens were cut off.

    Args:
        packing: see the module.
        kind: what separates documents, see `common.data.documents`.

    Raises:
        InputError: the tokenizer finds no token.
    """
    truncated = 0
    if packing == "lines":
        found, truncated = _lines(texts, tokenizer, max_length)
    else:
        around = surroundings(tokenizer)
        builders: dict[str, Callable[..., Iterator[Piece]]] = {
            "blocks": _blocks,
            "full_sentences": partial(_sentences, kind=kind, crossing=True),
            "doc_sentences": partial(_sentences, kind=kind, crossing=False),
        }
        parts = builders[packing](texts, tokenizer, max_length - around.size)
        found = [Piece.joined([around.before, part, around.after]) for part in parts if (part.words >= 0).any()]
    if not found:
        raise InputError("Masked language modelling needs at least one token in a split; the tokenizer finds none.")
    return found, truncated


def columns_of(examples: Sequence[Piece]) -> Columns:
    """``input_ids``, and ``words``: the number of each token's word, -1 for special tokens."""
    return {
        "input_ids": Ragged.of([example.ids for example in examples]),
        "words": Ragged.of([example.words for example in examples]),
    }


def _separator(tokenizer: PreTrainedTokenizerFast) -> Piece:
    return Piece.special([] if tokenizer.sep_token_id is None else [tokenizer.sep_token_id])


def _blocks(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, size: int) -> Iterator[Piece]:
    separator = _separator(tokenizer)
    parts: list[Piece] = []
    for piece in pieces(texts, tokenizer, add_special_tokens=False):
        if len(piece):
            parts += [separator, piece] if parts else [piece]
    if parts:
        stream = Piece.joined(parts)
        yield from (stream[start : start + size] for start in range(0, len(stream), size))


def _sentences(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, size: int, kind: str, crossing: bool
) -> Iterator[Piece]:
    """Sentences while they fit; one that is longer than an example is cut into several."""
    held: list[Piece] = []
    separator, room = _separator(tokenizer), size
    for document in documents(texts, kind):
        if held and not crossing:
            yield Piece.joined(held)
            held, room = [], size
        between = [separator] if held else []
        for sentence in pieces(document, tokenizer, add_special_tokens=False):
            for start in range(0, len(sentence), size):
                part = sentence[start : start + size]
                needed = len(part) + sum(map(len, between))
                if held and needed > room:
                    yield Piece.joined(held)
                    held, room, between, needed = [], size, [], len(part)
                held += [*between, part]
                room, between = room - needed, []
    if held:
        yield Piece.joined(held)


def _lines(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[list[Piece], int]:
    texts = [text for text in texts if text.strip()]
    found, truncated = [], 0
    whole = pieces(texts, tokenizer)
    cut = pieces(texts, tokenizer, truncation=True, max_length=max_length)
    for complete, kept in zip(whole, cut, strict=True):
        if (complete.words >= 0).any():
            truncated += len(complete) > max_length
            found.append(kept)
    return found, truncated
