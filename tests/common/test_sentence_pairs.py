"""Pairs of segments: shares, origins, lengths, and that they are functions of their seed."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from common.backend import IGNORE
from common.data import load_tokenizer
from common.data.batching import BatchPlan
from common.data.encoding import Encoded
from common.data.sentence_pairs import NEXT, RANDOM, sentence_pairs
from common.errors import InputError
from common.models import FAMILIES
from common.tasks import TASKS

TASK = TASKS.get("pretraining")
WORDS = [f"w{n}" for n in range(400)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return load_tokenizer(str(folder))


def corpus(count, length=12):
    """Documents of sentences; document d holds the words from d * length on, so that every token tells where it is from."""
    lines = []
    for document in range(count):
        first = (document * length) % len(WORDS)
        lines += [" ".join(WORDS[(first + i + j) % len(WORDS)] for j in range(2)) for i in range(0, length, 2)] + [""]
    return lines


def test_one_pair_of_two_is_random_and_from_another_document(tokenizer):
    pairs = sentence_pairs(corpus(3000), tokenizer, 16, "blank_lines")
    labels = np.array([pair.label for pair in pairs])
    assert len(pairs) > 4000
    assert labels.mean() == pytest.approx(0.5, abs=0.025)  # 3 standard deviations
    assert all((pair.documents[0] == pair.documents[1]) == (pair.label == NEXT) for pair in pairs)
    others = [pair.documents[1] for pair in pairs if pair.label == RANDOM]
    assert len(set(others)) > 1500  # any document alike
    assert sentence_pairs(corpus(9), tokenizer, 16, "blank_lines", share=0.0) != []
    assert all(pair.label == NEXT for pair in sentence_pairs(corpus(9), tokenizer, 16, "blank_lines", share=0.0))


def test_a_second_segment_that_follows_is_the_text_that_follows(tokenizer):
    pairs = sentence_pairs(corpus(40), tokenizer, 40, "blank_lines", share=0.5)
    seen = set()
    for pair in pairs:
        ids = pair.piece.ids
        first, second = (
            ids[(pair.types == 0) & (pair.piece.words >= 0)],
            ids[(pair.types == 1) & (pair.piece.words >= 0)],
        )
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert (pair.piece.words == -1).sum() == 3
        follows = bool((second[0] - 5 - (first[-1] - 5)) % len(WORDS) == 1)
        if pair.label == NEXT:
            assert follows
        seen.add((pair.label, follows))
    assert (RANDOM, False) in seen
    types = tokenizer("w1 w2", "w3")["token_type_ids"]
    assert types == [0, 0, 0, 0, 1, 1]  # the tokenizer's own
    assert all(pair.types.tolist() == sorted(pair.types) for pair in pairs)
    assert all(pair.piece.ids[pair.types == 0][-1] == tokenizer.sep_token_id for pair in pairs)


def test_pairs_fill_their_examples_and_are_never_longer(tokenizer):
    long = [" ".join(WORDS[:60]) + "\n" + " ".join(WORDS[60:140])] * 30
    pairs = sentence_pairs(long, tokenizer, 32, "texts")
    lengths = np.array([len(pair.piece) for pair in pairs])
    assert lengths.max() == 32
    assert (lengths == 32).mean() > 0.8
    for pair in pairs:
        assert min((pair.types[pair.piece.words >= 0] == kind).sum() for kind in (0, 1)) >= 1


def test_pairs_are_functions_of_their_seed_and_every_pass_has_others(tokenizer):
    def ids(**options):
        return [tuple(pair.piece.ids) for pair in sentence_pairs(corpus(20), tokenizer, 24, "blank_lines", **options)]

    assert ids() == ids()
    assert ids() != ids(seed=1)
    two = ids(passes=2)
    assert two[: len(ids())] == ids()
    assert two[len(ids()) :] != ids()


def test_masks_fall_on_both_segments_and_the_weights_bring_two_means_together(tokenizer):
    task = TASK.configured({"documents": "blank_lines"})
    columns, _ = task.encode(Dataset.from_dict({"text": corpus(60)}), tokenizer, 32)
    schema = task.schema(FAMILIES.get("bert"))
    tokens = {"mask": tokenizer.mask_token_id, "vocabulary": len(tokenizer)}
    encoded = Encoded(task, schema, columns, 0, 32, 0, tokens)
    steps = list(BatchPlan(encoded, 8, 4, 8, 0).epoch(0))
    batch = steps[0][0]
    assert set(batch) == set(schema.names)
    hidden = [kind for parts in steps for one in parts for kind in one["token_type_ids"][one["labels"] != IGNORE]]
    assert {0, 1} == set(hidden)
    count = task.step_targets(steps[-1])
    pairs = sum((one["next_sentence_label"] != IGNORE).sum() for one in steps[-1])
    assert all((one["scale"] == np.float32(count / pairs)).all() for one in steps[-1])
    assert task.targets(task.ignored(batch)) == 0
    assert (task.ignored(batch)["next_sentence_label"] == IGNORE).all()


def test_texts_without_two_documents_or_two_sentences_are_refused(tokenizer):
    with pytest.raises(InputError, match=r"at least two documents.*found 1"):
        sentence_pairs(["w1 w2.", "w3"], tokenizer, 16, "blank_lines")
    with pytest.raises(InputError, match="at least two sentences"):
        sentence_pairs(["w1 w2", "w3"], tokenizer, 16, "texts")
    with pytest.raises(InputError, match="type_vocab_size must be 2 or more"):
        TASK.layout(FAMILIES.get("bert"), {**FAMILIES.get("bert").DEFAULTS, "type_vocab_size": 1})
    assert TASK.layout(FAMILIES.get("roberta"), FAMILIES.get("roberta").DEFAULTS) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [({"random_pairs": 1.5}, "random_pairs must be between 0 and 1"), ({"passes": 0}, "passes must be 1 or more")],
)
def test_options_outside_of_their_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TASK.configured(options)
