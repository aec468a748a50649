"""Spans in sequences of tags such as B-person, I-person, O, and their precision, recall and F1 in seqeval's
definitions.

Spans are found as seqeval (Nakayama 2018) finds them by default, which is CoNLL 2000's rule: whatever the tags say is
taken for a span, so that I- after O, or after a tag of another type, begins one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Span", "has_spans", "span_scores", "spans"]

Span = tuple[str, int, int]  #: type, first word, word after the last
_OUTSIDE = "O"
_STARTS, _ENDS = frozenset("BS"), frozenset("ES")  # of IOB2 and IOBES; what else is inside continues a span


def has_spans(names: Iterable[str]) -> bool:
    """Whether tags of these names mark spans: each is O, or B, I, E or S with a type behind a hyphen, and one does."""
    marked = [name for name in names if name != _OUTSIDE]
    return bool(marked) and all(name[0] in "BIES" and name[1:2] == "-" and len(name) > 2 for name in marked)


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """The spans of one sentence, in order.

    Example:
        >>> list(spans(["B-person", "I-person", "O", "I-group", "I-person"]))
        [('person', 0, 2), ('group', 3, 4), ('person', 4, 5)]
    """
    kind: str | None = None
    start, previous = 0, _OUTSIDE
    for position, tag in enumerate((*tags, _OUTSIDE)):
        prefix, _, name = tag.partition("-")
        if kind is not None and (prefix == _OUTSIDE or name != kind or prefix in _STARTS or previous in _ENDS):
            yield kind, start, position
            kind = None
        if kind is None and prefix != _OUTSIDE:
            kind, start = name, position
        previous = prefix


def span_scores(truth: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 over all spans of all sentences; 0 where there is nothing to divide by."""
    counts = [0, 0, 0]
    for sentence, guess in zip(truth, predicted, strict=True):
        known, found = set(spans(sentence)), set(spans(guess))
        for at, size in enumerate((len(known & found), len(found), len(known))):
            counts[at] += size
    right, *totals = counts
    precision, recall = (right / total if total else 0.0 for total in totals)
    return {"precision": precision, "recall": recall, "f1": 2 * right / sum(totals) if sum(totals) else 0.0}
