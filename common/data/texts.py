"""Texts and pairs of texts as token ids, with the tokenizer's special tokens, truncated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from common.data.encoding import Columns, Ragged
from common.errors import InputError

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

__all__ = ["encode_texts"]

_CHUNK = 1000


def encode_texts(rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[Columns, int]:
    """``input_ids`` and, for pairs where the tokenizer has them, ``token_type_ids``.

    The longer text of a pair is cut first. Special tokens survive truncation.

    Returns:
        The columns, and the number of examples of which tokens were cut off.

    Raises:
        InputError: ``max_length`` leaves no room beside the special tokens, or a text has no token.
    """
    texts = list(rows["text"])
    pairs = list(rows["text_pair"]) if "text_pair" in rows.column_names else None
    special = tokenizer.num_special_tokens_to_add(pair=pairs is not None)
    if max_length <= special:
        raise InputError(
            f"data.max_length must exceed the {special} special tokens of the tokenizer; received {max_length}."
        )
    ids: list[np.ndarray] = []
    types: list[np.ndarray] = []
    truncated = 0
    for start in range(0, len(texts), _CHUNK):
        part = slice(start, start + _CHUNK)
        given = (texts[part],) if pairs is None else (texts[part], pairs[part])
        encoding = tokenizer(*given, verbose=False, return_token_type_ids=pairs is not None)
        for row, sequence in enumerate(encoding["input_ids"], start):
            if len(sequence) == 0:
                raise InputError(
                    f"Example {row + 1}: the tokenizer finds no token in {texts[row]!r}. Remove the example."
                )
            kinds = encoding["token_type_ids"][row - start] if pairs is not None else None
            if len(sequence) > max_length:
                # The special tokens at the end (of BERT, [SEP]) must survive, so the tokenizer itself truncates.
                given = (texts[row],) if pairs is None else (texts[row], pairs[row])
                cut = tokenizer(*given, truncation=True, max_length=max_length, return_token_type_ids=pairs is not None)
                sequence, kinds = cut["input_ids"], cut["token_type_ids"] if pairs is not None else None
                truncated += 1
            ids.append(np.asarray(sequence, np.int32))
            if kinds is not None:
                types.append(np.asarray(kinds, np.int32))
    columns: Columns = {"input_ids": Ragged.of(ids)}
    if pairs is not None:
        columns["token_type_ids"] = Ragged.of(types)
    return columns, truncated
