"""Characters of words: their numbers, the column of a split, and its padding in batches."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from common.backend.batch import Batch, BatchSchema, Field
from common.data.batching import collate
from common.data.characters import LONGEST, PLAIN, ROWS, character_fields, character_ids, with_characters
from common.data.encoding import Encoded, Ragged
from common.errors import InputError
from common.models.family import CHARACTERS, INPUT_IDS
from common.tasks import TASKS

WORDS = [["a", "bcd", "extraordinarily"], ["é한"]]


def encoded(words: list[list[str]], starts: list[list[int]]) -> Encoded:
    rows = Dataset.from_dict({"words": words})
    columns = {
        "input_ids": Ragged.of([np.full(len(s), 5, np.int32) for s in starts]),
        "words": Ragged.of([np.array(s, np.int32) for s in starts]),
    }
    schema = BatchSchema((INPUT_IDS, CHARACTERS))
    return Encoded(TASKS.get("token-classification"), schema, with_characters(columns, rows, ("characters",)), 0, 64)


def test_european_letters_have_numbers_of_their_own_and_every_number_has_a_row():
    letters = [chr(code) for code in range(PLAIN)]
    numbers = [character_ids(letter)[0] for letter in letters]
    assert len(set(numbers)) == PLAIN
    assert min(numbers) == 1
    jamo = {character_ids(chr(code))[0] for code in range(0x1100, 0x1200)}
    assert len(jamo) == 256
    assert not jamo & set(numbers)
    assert max(character_ids(chr(code))[0] for code in (0x10FFFF, 0x1FFF, PLAIN - 1)) < ROWS


def test_characters_stand_at_the_first_token_of_their_word():
    batch: Batch = collate(encoded(WORDS, [[-1, 0, 1, -1, 2], [-1, 0]]), np.array([0, 1]), 3, 4)
    found = batch["characters"]
    assert found.shape == (3, 8, 16)
    assert found.dtype == np.int32
    assert found[0, 2, :4].tolist() == [*character_ids("bcd"), 0]
    assert found[0, 4, :15].tolist() == character_ids("extraordinarily")
    assert not found[0, [0, 3, 5, 6, 7]].any()
    assert found[1, 1, :3].tolist() == [*character_ids("é한"), 0]
    assert not found[2].any()


def test_the_axis_of_characters_reaches_to_the_longest_word_of_a_batch_rounded_up():
    split = encoded([["a", "x" * 17], ["b"]], [[0, 1], [0]])
    assert collate(split, np.array([1]), 1, 1)["characters"].shape == (1, 1, 16)
    assert collate(split, np.array([0]), 1, 1)["characters"].shape == (1, 2, 32)


def test_a_long_word_is_cut():
    assert len(character_ids("x" * 100)) == LONGEST


def test_data_without_words_are_refused():
    with pytest.raises(InputError, match="characters of words needs data of words"):
        with_characters({}, Dataset.from_dict({"text": ["a"]}), ("characters",))


def test_a_schema_says_which_of_its_fields_hold_characters():
    assert character_fields(BatchSchema((INPUT_IDS, CHARACTERS, Field("x", ("batch",))))) == ("characters",)
