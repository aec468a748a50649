"""Sentences of documents: where a text is divided, the column of a split, the axes of a batch."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from common.backend.batch import BatchSchema, Field
from common.data.batching import BatchPlan, collate, evaluation_batches
from common.data.encoding import Encoded, Ragged
from common.data.sentences import COLUMN, LONGEST, places, reads_sentences, sentences, with_sentences
from common.data.texts import encode_texts
from common.data.tokenizer_training import train_tokenizer
from common.errors import InputError
from common.models.family import IDS_OF_SENTENCES, INPUT_IDS, MASK_OF_SENTENCES
from common.tasks import TASKS

DIVIDED = {
    "One two. Three four.": ["One two. ", "Three four."],
    "What?! No way! (Really.) Yes": ["What?! ", "No way! ", "(Really.) ", "Yes"],
    "He paid 8.50 to Mr. Smith of St. Ives. She left.": ["He paid 8.50 to Mr. Smith of St. Ives. ", "She left."],
    "J. R. R. Tolkien wrote it. 12 times.": ["J. R. R. Tolkien wrote it. ", "12 times."],
    "first line<br /><br />Second line": ["first line<br /><br />", "Second line"],
    "a title\n\nand a text": ["a title\n\n", "and a text"],
    "a fine film . it works .": ["a fine film . ", "it works ."],
    "i.e. this is not the end, e.g. Not this.": ["i.e. this is not the end, e.g. Not this."],
    "很好。我喜欢\uff01你呢\uff1f": ["很好。", "我喜欢\uff01", "你呢\uff1f"],
    "": [""],
    "no end": ["no end"],
}


@pytest.mark.parametrize("text", DIVIDED)
def test_texts_are_divided_at_the_ends_of_sentences(text):
    assert sentences(text) == DIVIDED[text]


@given(st.text(alphabet=st.sampled_from("ab AB.!?\n<br/>'\"()。 1"), max_size=60))
def test_the_sentences_of_any_text_are_that_text(text):
    found = sentences(text)
    assert "".join(found) == text
    assert all(found) or text == ""


def encoded(texts: list[str], max_length: int = 64) -> Encoded:
    rows = Dataset.from_dict({"text": texts, "label": [0] * len(texts)})
    tokenizer = train_tokenizer("words:50", texts)
    columns, _ = encode_texts(rows, tokenizer, max_length)
    columns = with_sentences(columns, rows, tokenizer) | {"labels": np.zeros(len(texts), np.int32)}
    task = TASKS.get("sequence-classification")
    schema = BatchSchema.of((IDS_OF_SENTENCES, MASK_OF_SENTENCES), task.FIELDS)
    return Encoded(task, schema, columns, tokenizer.pad_token_id, max_length)


TEXTS = ["Up and up. Down we go! Left", "A b c d e f g h i j. K", "One."]


def test_every_token_is_in_a_sentence_and_at_its_place():
    split = encoded(TEXTS)
    assert [split.columns[COLUMN][i].tolist() for i in range(3)] == [[4, 4, 1], [11, 1], [2]]
    batch = collate(split, np.array([0, 2]), 3, 4)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    assert ids.shape == mask.shape == (3, 4, 4)
    assert mask[0].sum(-1).tolist() == [4, 4, 1, 0]
    assert mask[1].sum(-1).tolist() == [2, 0, 0, 0]
    assert mask[2].ravel().tolist() == [1] + [0] * 15  # a row without an example
    flat = split.columns["input_ids"]
    assert np.concatenate([ids[0, s][mask[0, s] == 1] for s in range(4)]).tolist() == flat[0].tolist()
    assert not ids[mask == 0].any()
    assert batch["labels"].tolist() == [0, 0, -100]


def test_a_long_sentence_is_divided_and_what_is_cut_off_is_in_none():
    words = " ".join(["up"] * (2 * LONGEST + 3))
    assert encoded([words], 500).columns[COLUMN][0].tolist() == [LONGEST, LONGEST, 3]
    assert encoded(["One two three. Four five."], 5).columns[COLUMN][0].tolist() == [4, 1]


def test_documents_with_equally_many_sentences_are_computed_together():
    random = np.random.default_rng(0)
    texts = [" ".join("Up we go." for _ in range(n)) for n in random.permutation(np.repeat(np.arange(1, 9), 4))]
    split = encoded(texts)
    for _, batch in evaluation_batches(split, 4, 1):
        counts = (batch["attention_mask"].sum(-1) > 0).sum(-1)
        assert len(set(counts.tolist())) == 1
    plan = BatchPlan(split, 4, None, 1, 0)
    assert sorted(index for step in plan.indices(0) for index in step) == list(range(32))
    assert all(len({len(split.columns[COLUMN][i]) for i in step}) == 1 for step in plan.indices(0))


def test_what_has_no_sentences_is_sorted_by_length():
    split = Encoded(TASKS.get("sequence-classification"), BatchSchema((INPUT_IDS,)), {"input_ids": Ragged.of(
        [np.ones(n, np.int32) for n in (3, 1, 2)])}, 0, 8)  # fmt: skip
    assert split.sizes.tolist() == [3, 1, 2]


def test_pairs_and_tokenizers_with_special_tokens_are_refused():
    rows = Dataset.from_dict({"text": ["A b."], "text_pair": ["C"]})
    with pytest.raises(InputError, match="one text an example"):
        with_sentences({}, rows, train_tokenizer("words:50", ["a"]))
    rows = Dataset.from_dict({"text": ["A b."]})
    with pytest.raises(InputError, match="words:SIZE"):
        with_sentences({}, rows, train_tokenizer("wordpiece:50", ["a b"]))


def test_a_schema_says_whether_it_reads_sentences():
    assert reads_sentences(BatchSchema((IDS_OF_SENTENCES,)))
    assert not reads_sentences(BatchSchema((INPUT_IDS, Field("x", ("batch",)))))
    assert [part.tolist() for part in places(np.array([3, 1]))] == [[0, 0, 0, 1], [0, 1, 2, 0]]
