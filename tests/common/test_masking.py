"""Masks hide what is documented, depend on (seed, epoch, example) alone, and their options are checked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from common.backend import IGNORE
from common.config import load_config
from common.data import load_tokenizer
from common.data.batching import BatchPlan, evaluation_batches
from common.data.encoding import Encoded
from common.errors import InputError
from common.models import FAMILIES
from common.tasks import TASKS

TASK = TASKS.get("masked-language-modeling")
SCHEMA = TASK.schema(FAMILIES.get("bert"))
WORDS = ["ann", "saw", "rome", "un", "##able", "##s", "!"]
MASK, VOCABULARY = 4, 5 + len(WORDS)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return load_tokenizer(str(folder))


def split(tokenizer, texts, max_length=32, **options):
    task = TASK.configured(options)
    columns, truncated = task.encode(Dataset.from_dict({"text": texts}), tokenizer, max_length)
    tokens = {"mask": MASK, "vocabulary": VOCABULARY}
    return Encoded(task, SCHEMA, columns, 0, max_length, truncated, tokens)


def batches(encoded, seed=0, epoch=0, size=4):
    return [batch for (batch,) in BatchPlan(encoded, size, None, 8, seed).epoch(epoch)]


def rows_of(encoded, index):
    return encoded.columns["input_ids"][index], encoded.columns["words"][index]


def corrupted(encoded, index, key, others=()):
    """Ids and labels of one example, in a batch with ``others``."""
    from common.data.batching import collate

    indices = np.array([index, *others])
    batch = encoded.task.corrupt(collate(encoded, indices, len(indices) + 1, 8), encoded, indices, key)
    length = len(rows_of(encoded, index)[0])
    assert (batch["labels"][len(indices) :] == IGNORE).all()
    assert (batch["labels"][0, length:] == IGNORE).all()
    return batch["input_ids"][0, :length], batch["labels"][0, :length]


def test_packed_text_is_cut_into_blocks_that_lose_no_token(bert):
    texts = ["ann saw rome !", "", "unables", "  ", "saw saw"]
    encoded = split(bert, texts, max_length=6)
    stream = bert("ann saw rome ! [SEP] unables [SEP] saw saw", add_special_tokens=False)["input_ids"]
    blocks = [encoded.columns["input_ids"][i].tolist() for i in range(len(encoded))]
    assert [token for block in blocks for token in block[1:-1]] == stream
    assert all((block[0], block[-1]) == (bert.cls_token_id, bert.sep_token_id) for block in blocks)
    assert [len(block) for block in blocks] == [6, 6, 5]
    assert (encoded.columns["words"].values[np.isin(encoded.columns["input_ids"].values, [2, 3])] == -1).all()


def test_lines_are_examples_of_their_own_and_blank_ones_are_left_out(bert):
    encoded = split(bert, ["ann saw", "", "rome " * 20], max_length=8, packing="lines")
    assert encoded.lengths.tolist() == [4, 8]
    assert encoded.truncated == 1
    assert encoded.columns["input_ids"][1][-1] == bert.sep_token_id


@settings(deadline=None, max_examples=60)
@given(
    text=st.lists(st.sampled_from(["ann", "unables", "rome", "!"]), min_size=1, max_size=30).map(" ".join),
    probability=st.floats(0.01, 0.99),
    whole=st.booleans(),
    key=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 50)),
)
def test_targets_are_the_share_that_was_asked_for_and_never_special_tokens(bert, text, probability, whole, key):
    encoded = split(bert, [text], 64, probability=probability, whole_words=whole, packing="lines")
    original, words = rows_of(encoded, 0)
    ids, labels = corrupted(encoded, 0, key)
    targets = labels != IGNORE
    wanted = max(1, int(probability * (words >= 0).sum() + 0.5))
    assert (words[targets] >= 0).all()
    assert np.array_equal(labels[targets], original[targets])
    assert np.array_equal(ids[~targets], original[~targets])
    if whole:
        chosen = {int(word) for word in words[targets]}
        assert targets.sum() == sum((words == word).sum() for word in chosen)  # all tokens of a word, or none
        assert targets.sum() <= max(wanted, 3)
    else:
        assert targets.sum() == wanted


def test_of_the_targets_eight_of_ten_are_masked_and_one_of_ten_is_any_token(bert):
    encoded = split(bert, ["ann saw rome " * 2000], max_length=512, probability=0.5)
    counts = np.zeros(3)
    others = []
    for index in range(len(encoded)):
        original, _ = rows_of(encoded, index)
        ids, labels = corrupted(encoded, index, (1, 2))
        targets = labels != IGNORE
        masked, kept = targets & (ids == MASK), targets & (ids == original)
        others += ids[targets & ~masked & ~kept].tolist()
        counts += masked.sum(), kept.sum(), targets.sum()
    masked, kept, total = counts
    random = 0.1 / VOCABULARY  # of the replaced tokens, as many are the mask or the token itself
    assert masked / total == pytest.approx(0.8 + random, abs=0.02)
    assert kept / total == pytest.approx(0.1 + random, abs=0.02)
    assert set(others) <= set(range(VOCABULARY))
    assert len(set(others)) == VOCABULARY - 1


def test_masks_depend_on_seed_epoch_and_example_and_on_nothing_else(bert):
    encoded = split(bert, ["ann saw rome ! unables " * 4] * 6, packing="lines")
    ids, labels = corrupted(encoded, 2, (7, 1))
    again = corrupted(encoded, 2, (7, 1), others=(0, 4, 5))
    assert np.array_equal(ids, again[0])
    assert np.array_equal(labels, again[1])
    others = [corrupted(encoded, *given)[1] for given in ((3, (7, 1)), (2, (7, 2)), (2, (8, 1)))]
    assert not any(np.array_equal(labels, other) for other in others)


def test_an_epoch_resumed_in_the_middle_has_the_masks_of_a_whole_one(bert):
    encoded = split(bert, ["ann saw rome ! unables " * n for n in range(1, 12)], packing="lines")
    plan = BatchPlan(encoded, 4, None, 8, 3)
    whole, rest = list(plan.epoch(5)), list(plan.epoch(5, start=2))
    assert len(rest) == 1
    assert all(np.array_equal(whole[2][0][name], rest[0][0][name]) for name in SCHEMA.names)


def test_evaluation_sees_the_same_masks_whatever_the_size_of_its_batches(bert):
    encoded = split(bert, ["ann saw rome ! unables " * n for n in range(1, 8)], packing="lines")

    def labels(size):
        found = {}
        for indices, batch in evaluation_batches(encoded, size, 8):
            found |= {
                int(i): batch["labels"][row][batch["labels"][row] != IGNORE].tolist() for row, i in enumerate(indices)
            }
        return found

    assert labels(2) == labels(5)
    assert all(labels(3).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{documents: texts}", "is read where whole sentences are packed"),
        ("{documents: headings, packing: lines}", "packing is lines"),
        ("{probability: 0}", "probability must be greater than 0"),
        ("{mask_share: 0.9, random_share: 0.2}", "random_share and mask_share must not exceed 1"),
        ("{probabilty: 0.2}", "probabilty is unknown.*Nearest: probability"),
        ("{whole_words: 1}", "whole_words must be true or false"),
    ],
)
def test_options_of_a_task_are_checked_with_the_configuration(options, message):
    with pytest.raises(InputError, match=message):
        load_config("bert_mlm", [f"model.task_options={options}"])
    assert load_config("bert_mlm", ["model.task_options={probability: 0.3}"]).model.task_options == {"probability": 0.3}


def test_options_of_another_task_are_refused():
    with pytest.raises(InputError, match="probability is unknown"):
        load_config("bert_sst2", ["model.task_options={probability: 0.3}"])


def test_a_tokenizer_without_a_mask_token_is_refused(bert):
    with pytest.raises(InputError, match="mask token"):
        split(load_tokenizer("bpe:300", ["a b c"]), ["a b"])
    with pytest.raises(InputError, match="finds none"):
        split(bert, ["", " "])


def test_an_untied_output_is_refused():
    family = FAMILIES.get("bert")
    with pytest.raises(InputError, match="tie_word_embeddings"):
        TASK.layout(family, {**family.DEFAULTS, "tie_word_embeddings": False})


def test_a_mask_that_is_itself_the_most_probable_token_is_not_filled_in_again():
    from common.tasks.masked_language_modeling import _answer

    tokens = ("[MASK]", "red")
    tokenizer = SimpleNamespace(mask_token="[MASK]", decode=lambda ids: tokens[ids[0]])
    answer = _answer("a [MASK] b [MASK] c", tokenizer, np.array([[2.0, 1.0], [1.0, 2.0]], np.float32))
    assert answer.full["filled"] == "a [MASK] b red c"
