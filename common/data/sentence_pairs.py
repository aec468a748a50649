"""Pairs of segments for next-sentence prediction (Devlin et al. 2019): whole sentences that fill an example.

From every document in turn sentences are taken until they fill an example (one of ten examples a shorter one, so that
short texts are seen too), and cut in two at a random sentence. With probability ``share`` the second segment is
replaced by as many tokens from a random sentence on of another document; what it would have been is taken again. What
is too long loses tokens of the longer segment, at either end.

A last sentence that nothing follows begins no pair, so that the share of random pairs is ``share`` and no more; BERT's
own program makes it the beginning of a random pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.data.documents import documents
from common.data.packing import Piece, Surroundings, pieces, surroundings
from common.errors import InputError
from common.random import Stream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["NEXT", "RANDOM", "Pair", "sentence_pairs"]

NEXT, RANDOM = 0, 1  #: labels of `transformers`
_SHORT = 0.1  #: share of the examples that are not to be filled
Document = Sequence[Piece]


@dataclass(frozen=True)
class Pair:
    """One example with its special tokens, and where its segments are from."""

    piece: Piece
    types: np.ndarray  #: ``(tokens,)`` int32: 0 up to the first separator, 1 after it
    label: int  #: NEXT or RANDOM
    documents: tuple[int, int]  #: of the first and the second segment


def sentence_pairs(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    kind: str,
    share: float = 0.5,
    seed: int = 0,
    passes: int = 1,
) -> list[Pair]:
    """Every pair of ``passes`` passes over the documents, a function of the arguments alone.

    Args:
        kind: what separates documents, see `common.data.documents`.
        share: of random pairs.
        passes: each has other pairs; BERT's data had ten.

    Raises:
        InputError: there are not two documents, or none of them has two sentences.
    """
    around = surroundings(tokenizer, pair=True)
    found = _tokenised(documents(texts, kind), tokenizer)
    if len(found) < 2:
        raise InputError(
            f"Next-sentence prediction needs at least two documents in a split; found {len(found)}. Name what separates them "
            "in model.task_options.documents: blank_lines, headings or texts."
        )
    pairs = []
    for number in range(passes):
        for index in range(len(found)):
            stream = Stream((seed, number), index + 1)
            pairs += _of_document(found, index, max_length - around.size, share, stream, around)
    if not pairs:
        raise InputError("Next-sentence prediction needs a document of at least two sentences in a split; found none.")
    return pairs


def _tokenised(listed: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast) -> list[Document]:
    flat = pieces([sentence for document in listed for sentence in document], tokenizer, add_special_tokens=False)
    found = [[next(flat) for _ in document] for document in listed]
    kept = ([piece for piece in document if len(piece)] for document in found)
    return [document for document in kept if document]


def _of_document(
    found: Sequence[Document], index: int, size: int, share: float, stream: Stream, around: Surroundings
) -> list[Pair]:
    document, position, pairs = found[index], 0, []
    while position + 1 < len(document):
        wanted = size if stream.share() >= _SHORT else 2 + stream.below(size - 1)
        stop = position + max(2, _needed(document[position:], wanted))
        cut = position + 1 + stream.below(stop - position - 1)
        first = Piece.joined(document[position:cut])
        label = RANDOM if stream.share() < share else NEXT
        if label == NEXT:
            other, second, position = index, Piece.joined(document[cut:stop]), stop
        else:
            other = (index + 1 + stream.below(len(found) - 1)) % len(found)
            rest = found[other][stream.below(len(found[other])) :]
            second, position = Piece.joined(rest[: max(1, _needed(rest, wanted - len(first)))]), cut
        first, second = _shortened(first, second, size, stream)
        pairs.append(_pair(first, second, around, label, (index, other)))
    return pairs


def _needed(sentences: Document, tokens: int) -> int:
    """How many sentences have ``tokens`` tokens, or all."""
    total = 0
    for number, sentence in enumerate(sentences):
        if total >= tokens:
            return number
        total += len(sentence)
    return len(sentences)


def _shortened(first: Piece, second: Piece, size: int, stream: Stream) -> tuple[Piece, Piece]:
    """Both without the tokens that do not fit: of the longer one, from its beginning or its end."""
    ends = [[0, len(first)], [0, len(second)]]
    while sum(stop - start for start, stop in ends) > size:
        longer = ends[0] if ends[0][1] - ends[0][0] > ends[1][1] - ends[1][0] else ends[1]
        if stream.share() < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1
    return first[slice(*ends[0])], second[slice(*ends[1])]


def _pair(first: Piece, second: Piece, around: Surroundings, label: int, origin: tuple[int, int]) -> Pair:
    piece = Piece.joined([around.before, first, around.between, second, around.after])
    of_first = len(around.before) + len(first) + len(around.between)
    types = (np.arange(len(piece)) >= of_first).astype(np.int32)
    return Pair(piece, types, label, origin)
