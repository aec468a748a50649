"""Documents and their sentences, found in lines of raw text.

What separates documents is named by one of `KINDS`:

    blank_lines   a line with nothing in it ends a document, as in BERT's own input files
    headings      a line ``= Title =`` begins a document, as in WikiText; headings of every depth are left out
    texts         every text is a document of its own

A line of a document holds one sentence or more. Sentences end with ``. ! ? …`` before white space that no lower-case
letter follows, and with ``。 ！ ？``; each keeps the white space before it, so that they add up to the line. That is a rule
and no parser: "U.S. Army" becomes two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

__all__ = ["KINDS", "Kind", "documents", "sentences"]

Kind = Literal["blank_lines", "headings", "texts"]
KINDS: tuple[str, ...] = get_args(Kind)
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+[^\sa-z])|[。！？]+[”’」』）]*")  # noqa: RUF001  full-width marks are meant
_HEADING = re.compile(r"=(?P<depth>( =)*) .* =(?P=depth)")


def sentences(line: str) -> list[str]:
    """The sentences of a line, each with the white space before it.

    Example:
        >>> sentences("It rains. We stay in! ok")
        ['It rains.', ' We stay in! ok']
    """
    ends = [found.end() for found in _END.finditer(line)]
    starts = [0, *ends]
    parts = (line[start:stop] for start, stop in zip(starts, [*ends, len(line)], strict=True))
    return [part for part in parts if part.strip()]


def documents(texts: Iterable[str], kind: str) -> list[list[str]]:
    """The sentences of every document that has any.

    Args:
        texts: in the order in which they stand in their file; one may have several lines.
        kind: one of `KINDS`.
    """
    found: list[list[str]] = [[]]
    for text in texts:
        for line, begins in _lines(text, kind):
            if begins:
                found.append([])
            found[-1] += sentences(line)
    return [document for document in found if document]


def _lines(text: str, kind: str) -> Iterator[tuple[str, bool]]:
    """(line, whether a document begins with it) of one text."""
    for number, line in enumerate(text.split("\n") or [""]):
        heading = _HEADING.fullmatch(line.strip()) if kind == "headings" else None
        if heading is not None:
            yield "", not heading["depth"]
        elif kind == "texts":
            yield line, number == 0
        else:
            yield line, kind == "blank_lines" and not line.strip()
