"""Sentences of a text, by rules: which tokens stand together, for networks that read a document sentence by sentence.

A sentence ends at a line break (``<br>`` of reviews too), at 。！？, and at a mark ``.!?…`` with closing quotation marks
and brackets behind it, where white space follows and then a capital letter, a digit or an opening mark, or where the
mark itself stands alone, as in tokenised text. ``Mr.`` and other `ABBREVIATIONS`, and single capitals, end none.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np

from common.backend.batch import SENTENCE_AXIS
from common.errors import InputError

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

    from common.backend.batch import BatchSchema
    from common.data.encoding import Columns, Ragged

__all__ = ["ABBREVIATIONS", "COLUMN", "LONGEST", "places", "reads_sentences", "sentences", "with_sentences"]

COLUMN = "sentences"  #: numbers of tokens of an example's sentences, in order
LONGEST = 64  #: tokens of a sentence; a longer one is divided, so that one of them does not widen a whole batch
ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "gen", "col", "capt", "lt", "sgt", "rev", "hon", "gov",
     "sen", "rep", "e.g", "i.e", "cf", "vol", "inc", "ltd", "corp"}
)  # fmt: skip
_CHUNK = 1000
_CLOSING = r"""["'\u201d\u2019)\]]"""
_OPENING = r"""["'\u201c\u2018(\[]"""
_BREAK = re.compile(
    rf"""(?:\s*<br\s*/?>\s*)+ | \s*\n\s* | [\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09]*\s* |
        (?P<mark>[.!?\u2026]+{_CLOSING}*) \s+ (?P<next>{_OPENING}?[^\W_])""",
    re.VERBOSE,
)


def sentences(text: str) -> list[str]:
    """The sentences of a text; all of its characters are in one of them.

    Example:
        >>> sentences("Mr. Bean waits. A bus comes ...")
        ['Mr. Bean waits. ', 'A bus comes ...']
    """
    starts = [*_starts(text), len(text)]
    return [text[start:stop] for start, stop in pairwise(starts)]


def _starts(text: str) -> list[int]:
    """Where the sentences begin."""
    found = [0]
    for match in _BREAK.finditer(text):
        end = match.start("next") if match["mark"] else match.end()
        if (not match["mark"] or _ends(text, match)) and found[-1] < end < len(text):
            found.append(end)
    return found


def _ends(text: str, match: re.Match[str]) -> bool:
    """Whether a mark between two words ends a sentence."""
    before = text[: match.start()]
    if before[-1:].isspace() or not before:  # tokenised text
        return True
    first = match["next"][-1]
    if first.islower():
        return False
    word = re.split(r"[\s(\[“\"']", before[-12:])[-1]
    abbreviated = word.lower() in ABBREVIATIONS or re.fullmatch(r"(?:[A-Z]\.)*[A-Z]", word) is not None
    return not (match["mark"] == "." and abbreviated)


def reads_sentences(schema: BatchSchema) -> bool:
    """Whether batches have an axis of sentences."""
    return any(SENTENCE_AXIS in field.axes for field in schema.fields)


def with_sentences(columns: Columns, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast) -> Columns:
    """``columns``, with the numbers of tokens of each example's sentences, which together are its ``input_ids``.

    Raises:
        InputError: the data are no single texts, or the tokenizer adds tokens that stand in no sentence.
    """
    if "text" not in rows.column_names or "text_pair" in rows.column_names:
        raise InputError(
            "A family that reads sentences needs data of one text an example; received the columns "
            f"{', '.join(rows.column_names)}. Choose another task or another family."
        )
    if tokenizer.num_special_tokens_to_add():
        raise InputError(
            "A family that reads sentences needs a tokenizer that adds no tokens at the ends of a text. Set "
            "model.tokenizer to words:SIZE."
        )
    ids = cast("Ragged", columns["input_ids"])
    counted = [np.array(counts, np.int32) for counts in _counts(list(rows["text"]), ids.lengths, tokenizer)]
    return columns | {COLUMN: type(ids).of(counted)}


def _counts(texts: list[str], lengths: np.ndarray, tokenizer: PreTrainedTokenizerFast) -> Iterator[list[int]]:
    """For every text the numbers of tokens of its sentences, of the first ``lengths`` tokens."""
    for start in range(0, len(texts), _CHUNK):
        part = texts[start : start + _CHUNK]
        offsets = tokenizer(part, verbose=False, return_offsets_mapping=True)["offset_mapping"]
        for row, (text, spans) in enumerate(zip(part, offsets, strict=True), start):
            starts = _starts(text)
            kept = spans[: lengths[row]] if tokenizer.truncation_side == "right" else spans[-lengths[row] :]
            numbers = [bisect_right(starts, begin) for begin, _ in kept]
            whole = np.unique(numbers, return_counts=True)[1]
            yield [piece for count in whole.tolist() for piece in _divided(count)]


def _divided(count: int) -> list[int]:
    """A sentence in pieces of at most `LONGEST` tokens."""
    full, rest = divmod(count, LONGEST)
    return [LONGEST] * full + ([rest] if rest else [])


def places(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sentence and place in it of each token, from the numbers of tokens of the sentences.

    Example:
        >>> [part.tolist() for part in places(np.array([2, 1]))]
        [[0, 0, 1], [0, 1, 0]]
    """
    numbers = np.repeat(np.arange(len(counts)), counts)
    begun = np.repeat(np.cumsum(counts) - counts, counts)
    return numbers, np.arange(int(np.sum(counts))) - begun
