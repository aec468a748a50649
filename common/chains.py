"""Decoding of chains of tags: Viterbi's algorithm, the transitions that a tagging scheme allows, and conversion between
schemes.

Schemes: ``bio`` begins each span with B- and continues it with I- (IOB2); ``bioes`` also marks the last word of a span
of several with E- and a span of one word with S-.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from common.spans import spans

__all__ = ["SCHEMES", "allowed", "converted", "departure", "scheme_names", "scheme_of", "viterbi"]

SCHEMES = ("bio", "bioes")
_OUTSIDE = "O"
_OPEN = {"bio": ("B", "I"), "bioes": ("B", "I")}  #: after which a span may go on
_CLOSED = {"bio": ("B", "I"), "bioes": ("E", "S")}  #: after which one may be over
_BEGINS = {"bio": ("B",), "bioes": ("B", "S")}


def viterbi(
    logits: np.ndarray,
    words: np.ndarray,
    chain: np.ndarray,
    permitted: np.ndarray | None = None,
) -> np.ndarray:
    """The sequence of tags with the highest score (Viterbi 1967), int64 ``(batch, seq)``; -1 where no word begins.

    Args:
        logits: ``(batch, seq, tags)``.
        words: ``(batch, seq)``, below 0 where no word begins; such positions are left out of the chain.
        chain: ``(tags + 2, tags)``: transitions (from, to), start, end.
        permitted: bool of the same shape, see `allowed`; all by default.
    """
    scores = chain.astype(np.float64)
    if permitted is not None:
        scores = np.where(permitted, scores, -np.inf)
    transitions, start, end = scores[:-2], scores[-2], scores[-1]
    batch, length, tags = logits.shape
    best = np.zeros((batch, tags))
    begun = np.zeros(batch, bool)
    origins = np.zeros((length, batch, tags), np.int64)
    for place in range(length):
        there = words[:, place] >= 0
        reached = best[:, :, None] + transitions
        origins[place] = reached.argmax(1)
        step = np.where(begun[:, None], reached.max(1), start) + logits[:, place]
        best = np.where(there[:, None], step, best)
        begun |= there
    found = np.full((batch, length), -1, np.int64)
    tag = (best + end).argmax(1)
    rows = np.arange(batch)
    for place in reversed(range(length)):
        there = words[:, place] >= 0
        found[there, place] = tag[there]
        tag = np.where(there, origins[place, rows, tag], tag)
    return found


def scheme_names(names: Sequence[str], scheme: str) -> tuple[str, ...]:
    """The tags of ``scheme`` for the types that ``names`` mark.

    Example:
        >>> scheme_names(("O", "B-x", "I-x"), "bioes")
        ('O', 'B-x', 'I-x', 'E-x', 'S-x')
    """
    kinds = dict.fromkeys(name[2:] for name in names if name != _OUTSIDE)
    prefixes = ("B", "I") if scheme == SCHEMES[0] else ("B", "I", "E", "S")
    return (_OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in prefixes))


def scheme_of(names: Sequence[str]) -> str:
    """The scheme of tags with these names.

    Example:
        >>> scheme_of(("O", "B-x", "I-x")), scheme_of(("O", "S-x"))
        ('bio', 'bioes')
    """
    return SCHEMES[any(name[0] in "ES" for name in names if name != _OUTSIDE)]


def converted(tags: Sequence[str | None], scheme: str) -> list[str | None]:
    """The same spans in ``scheme``; a word without a tag (None) stays one and ends no span that goes on behind it.

    Example:
        >>> converted(["B-x", "I-x", "O", "I-y"], "bioes")
        ['B-x', 'E-x', 'O', 'S-y']
    """
    found: list[str | None] = [None if tag is None else _OUTSIDE for tag in tags]
    known = [place for place, tag in enumerate(tags) if tag is not None]
    for kind, first, stop in spans([tags[place] or _OUTSIDE for place in known]):
        for place in range(first, stop):
            found[known[place]] = f"{_prefix(place, first, stop, scheme)}-{kind}"
    return found


def _prefix(place: int, first: int, stop: int, scheme: str) -> str:
    if scheme == SCHEMES[0]:
        return "B" if place == first else "I"
    if stop - first == 1:
        return "S"
    return "B" if place == first else "E" if place == stop - 1 else "I"


def allowed(names: Sequence[str], scheme: str) -> np.ndarray:
    """Which transitions are sequences of spans, bool ``(tags + 2, tags)`` as `viterbi` takes them: from a tag, at the
    start; and at the end."""
    found = [[_follows(before, name, scheme) for name in names] for before in (*names, _OUTSIDE)]
    return np.array([*found, [_follows(name, _OUTSIDE, scheme) for name in names]], bool)


def departure(tags: Sequence[str | None], scheme: str) -> str | None:
    """The first transition of a sentence that ``scheme`` does not allow, in words; None where it allows all. A word
    without a tag (None) may have any.

    Example:
        >>> departure(["O", "I-x"], "bio")
        'I-x after O'
    """
    for place, (before, after) in enumerate(itertools.pairwise((_OUTSIDE, *tags, _OUTSIDE))):
        if before is None or after is None or _follows(before, after, scheme):
            continue
        if place == len(tags):
            return f"{before} at the end"
        return f"{after} after {before}" if place else f"{after} at the beginning"
    return None


def _follows(before: str, after: str, scheme: str) -> bool:
    """Whether one tag may follow another; beyond both ends of a sentence stands O."""
    if after == _OUTSIDE or after[0] in _BEGINS[scheme]:
        return before == _OUTSIDE or before[0] in _CLOSED[scheme]
    return before != _OUTSIDE and before[0] in _OPEN[scheme] and before[2:] == after[2:]
