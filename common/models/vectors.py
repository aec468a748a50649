"""Published word vectors in text form: GloVe's, word2vec's and fastText's files, as they are or under gzip.

A line is a word and its numbers with one space between them; word2vec and fastText begin with a line of two numbers,
how many words there are and how wide their vectors.
"""

from __future__ import annotations

import dataclasses
import gzip
import math
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import InputError
from common.reading import expanded

if TYPE_CHECKING:
    from common.models.family import Family
    from common.models.specs import ModelSpec

__all__ = ["Coverage", "Words", "filled", "read_vectors", "with_vectors", "words_of"]

_GZIP = b"\x1f\x8b"
_LONGEST = 2**20  #: bytes of a line
_REMEDY = "Give a text file of GloVe, word2vec or fastText (.txt, .vec), or one of them under gzip."


@dataclass(frozen=True)
class Words:
    """The vocabulary of a tokenizer."""

    rows: Mapping[str, int]  #: word to row
    special: frozenset[int]  #: rows that are no words'


@dataclass(frozen=True)
class Coverage:
    """How many words of a vocabulary have a vector in a file."""

    file: str
    width: int
    words: int  #: of the vocabulary, special tokens left out
    exact: int  #: found as they are written
    lowered: int  #: found in lower case alone

    def __str__(self) -> str:
        """One line."""
        found = self.exact + self.lowered
        share = 100 * found / max(self.words, 1)
        return (
            f"vectors {self.file}: {found:,} of {self.words:,} words ({share:.1f} %), {self.lowered:,} of them in "
            "lower case; the others start at random"
        )

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**vars(self), "unknown": self.words - self.exact - self.lowered}


def read_vectors(path: str | Path, wanted: Collection[str]) -> tuple[dict[str, np.ndarray], int]:
    """The vectors of the words in ``wanted``, float32, and their width. A word that comes twice has its first vector.

    Memory is taken for the words that are found alone.

    Raises:
        InputError: the file is not there, not of this form, or a vector that is wanted is cut off or not finite.
    """
    path = expanded(path)
    found: dict[str, np.ndarray] = {}
    width = lines = 0
    for number, line in _lines(path):
        word, _, rest = line.partition(" ")
        if number == 1 and _is_header(rest):
            width = int(rest)
            continue
        lines += 1
        if not width:
            width = len(rest.split())
        if word in wanted and word not in found:
            vector = _vector(rest, width, f"{path}, line {number}")
            if vector is not None:
                found[word] = vector
    if not lines or not width:
        raise InputError(f"{path} holds no vector. {_REMEDY}")
    return found, width


def words_of(path: str | Path) -> list[str]:
    """Every word of a file that has a vector there, once, in the order of the file.

    Raises:
        InputError: the file is not there, or not of this form.
    """
    path = expanded(path)
    found: dict[str, None] = {}
    width = 0
    for number, line in _lines(path):
        word, _, rest = line.partition(" ")
        if number == 1 and _is_header(rest):
            width = int(rest)
            continue
        fields = rest.split()
        width = width or len(fields)
        # A longer line is that of a word with spaces in it; one of another width is refused where it is read.
        if word and len(fields) == width:
            found[word] = None
    if not found:
        raise InputError(f"{path} holds no vector. {_REMEDY}")
    return list(found)


def _is_header(rest: str) -> bool:
    """Whether a number of words is followed by their width; a vector of one number is taken for none."""
    return rest.strip().isdecimal() and 0 < int(rest) < 2**20


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line), without white space at the end."""
    try:
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            content: Any = stack.enter_context(gzip.open(file)) if packed else file
            for number, line in enumerate(iter(lambda: content.readline(_LONGEST), b""), 1):
                if len(line) == _LONGEST:
                    raise InputError(f"{path}, line {number}, is longer than {_LONGEST:,} bytes. {_REMEDY}")
                if number == 1 and b"\0" in line:
                    raise InputError(f"{path} is a binary file. {_REMEDY}")
                # A line that is no UTF-8, of which some published files have a few, is that of no word.
                yield number, line.decode("utf-8", "replace").rstrip()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"The word vectors in {path} cannot be read: {error}. {_REMEDY}") from error


def _vector(rest: str, width: int, where: str) -> np.ndarray | None:
    """The numbers of a line; None where they belong to a word with spaces in it, of which GloVe's largest file has
    some.

    Raises:
        InputError: there are fewer than ``width``, or more, or they are no finite numbers.
    """
    fields = rest.split()
    if len(fields) > width and not all(map(_is_number, fields[: len(fields) - width])):
        return None
    if len(fields) > width:
        raise InputError(
            f"{where}: a vector of {width} numbers was expected, as the first line says or has; found {len(fields)}. "
            "Correct the first line, or copy the file again."
        )
    if len(fields) < width:
        raise InputError(
            f"{where}: a vector of {width} numbers was expected; found {len(fields)}. Copy the file again."
        )
    try:
        vector = np.array(fields, np.float64).astype(np.float32)
    except ValueError as error:
        raise InputError(f"{where}: numbers were expected behind the word; {error}. {_REMEDY}") from error
    if not np.isfinite(vector).all():
        raise InputError(f"{where}: every number of a vector must be finite in float32. Copy the file again.")
    return vector


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def filled(table: np.ndarray, path: str | Path, words: Words) -> tuple[np.ndarray, Coverage]:
    """``table`` with the vectors of ``path`` in the rows of their words: found as they are written, or else in lower
    case. Rows of other words stay as they are.

    Args:
        table: ``(rows, width)`` float32.

    Raises:
        InputError: the vectors have another width than the table.
    """
    rows = {word: row for word, row in words.rows.items() if row not in words.special}
    vectors, width = read_vectors(path, {*rows, *(word.lower() for word in rows)})
    if width != table.shape[1]:
        raise InputError(
            f"The vectors of model.vectors and the table of words must have one width; {path} has {width} numbers a "
            f"word, the table {table.shape[1]}. Set the width in model.config to {width}, or use another file."
        )
    result, exact, lowered = np.array(table, np.float32), 0, 0
    for word, row in rows.items():
        as_written = word in vectors
        vector = vectors.get(word, vectors.get(word.lower()))
        if vector is not None:
            result[row] = vector
            exact, lowered = exact + as_written, lowered + (not as_written)
    return result, Coverage(str(path), width, len(rows), exact, lowered)


def with_vectors(spec: ModelSpec, family: Family, path: str | Path, words: Words | None) -> ModelSpec:
    """``spec``, whose tables of words start from the vectors in ``path``.

    Raises:
        InputError: the family has no such table, the tokenizer is not known, or the vectors do not fit.
    """
    tables = [module.path for module in spec.modules if module.path in family.WORDS]
    if not tables or words is None:
        raise InputError(
            f"model.vectors are start values of a table with one row a word; the family {spec.family} has none. Leave "
            "model.vectors out, or use a network of words."
        )
    arrays = dict(spec.arrays)
    for table in tables:
        arrays[f"{table}.weight"], coverage = filled(arrays[f"{table}.weight"], path, words)
    from common.models.checkpoint import fingerprint

    return dataclasses.replace(spec, arrays=arrays, vectors=coverage, fingerprint=fingerprint(arrays))
