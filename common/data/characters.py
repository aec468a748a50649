"""The characters of words, by numbers that need no vocabulary.

0 is padding. A character below `PLAIN` has a number of its own, so that those of European languages differ;
others share `PLAIN` further numbers by their code point modulo `PLAIN`, so that characters of one script, which stand
side by side in Unicode, seldom meet. Nothing must be stored with a run, and no character is unknown.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import numpy as np

from common.backend.batch import CHARACTER_AXIS
from common.errors import InputError

if TYPE_CHECKING:
    import datasets

    from common.backend.batch import BatchSchema
    from common.data.encoding import Columns, Ragged

__all__ = ["LONGEST", "PLAIN", "ROWS", "character_fields", "character_ids", "with_characters"]

PLAIN = 512
ROWS = 1 + 2 * PLAIN  #: of a table of characters
LONGEST = 32  #: characters of a word that are read; the rest, mostly of addresses of the web, is not


def character_ids(word: str) -> list[int]:
    """The numbers of the characters that are read.

    Example:
        >>> character_ids("ab")
        [98, 99]
    """
    codes = [ord(character) for character in word[:LONGEST]]
    return [1 + (code if code < PLAIN else PLAIN + code % PLAIN) for code in codes]


def character_fields(schema: BatchSchema) -> tuple[str, ...]:
    """Names of the fields that have an axis of characters."""
    return tuple(field.name for field in schema.fields if CHARACTER_AXIS in field.axes)


def with_characters(columns: Columns, rows: datasets.Dataset, names: tuple[str, ...]) -> Columns:
    """``columns``, with one for each of ``names``: the characters of each word at its first token, and padding
    elsewhere.

    Raises:
        InputError: the data are no lists of words.
    """
    if "words" not in columns or "words" not in rows.column_names:
        raise InputError(
            "A family that reads the characters of words needs data of words, with a task such as "
            "token-classification; "
            f"received the columns {', '.join(rows.column_names)}. Choose another task or another family."
        )
    starts = cast("Ragged", columns["words"])
    words, found = list(rows["words"]), np.zeros((len(starts.values), LONGEST), np.int32)
    for row in range(len(starts)):
        of_row = starts[row]
        for position in np.flatnonzero(of_row >= 0):
            ids = character_ids(words[row][of_row[position]])
            found[starts.starts[row] + position, : len(ids)] = ids
    return columns | {name: dataclasses.replace(starts, values=found) for name in names}
