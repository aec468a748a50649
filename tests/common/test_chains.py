"""Chains of tags: Viterbi's algorithm against every sequence there is, schemes, and the transitions they allow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from common.chains import allowed, converted, departure, scheme_names, viterbi
from common.data.readers import Table
from common.data.registry import DatasetEntry
from common.data.roles import Reading
from common.errors import InputError
from common.spans import spans
from common.tasks import TASKS

TAGS = 4


def scores(seed: int, length: int, tags: int = TAGS) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(1, length, tags)), random.normal(size=(tags + 2, tags))


def score(logits: np.ndarray, chain: np.ndarray, tags: tuple[int, ...]) -> float:
    """Of one sequence, as it is defined."""
    total = chain[-2, tags[0]] + chain[-1, tags[-1]] + sum(logits[place, tag] for place, tag in enumerate(tags))
    return total + sum(chain[before, after] for before, after in itertools.pairwise(tags))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_sequence_found_is_the_best_of_all(length, seed):
    logits, chain = scores(seed, length)
    best = max(itertools.product(range(TAGS), repeat=length), key=lambda tags: score(logits[0], chain, tags))
    assert viterbi(logits, np.arange(length)[None], chain)[0].tolist() == list(best)


def test_rows_of_uneven_length_with_gaps_are_decoded_as_if_they_stood_alone():
    random = np.random.default_rng(5)
    logits, chain = random.normal(size=(4, 7, TAGS)), random.normal(size=(TAGS + 2, TAGS))
    words = np.array(
        [[-1, 0, -1, 1, 2, -1, -1], [0, 1, 2, 3, 4, 5, 6], [-1, -1, 0, -1, -1, -1, -1], [-1, -1, -1, -1, -1, -1, -1]]
    )
    found = viterbi(logits, words, chain)
    for row in range(4):
        places = np.flatnonzero(words[row] >= 0)
        assert (found[row, words[row] < 0] == -1).all()
        if len(places):
            alone = viterbi(logits[row : row + 1, places], np.arange(len(places))[None], chain)
            assert found[row, places].tolist() == alone[0].tolist()


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_constrained_decoding_gives_the_best_sequence_that_marks_spans(scheme):
    names = scheme_names(("O", "B-x", "I-x", "B-y", "I-y"), scheme)
    permitted = allowed(names, scheme)
    for seed in range(3):
        logits, chain = scores(seed, 4, len(names))
        valid = [
            tags
            for tags in itertools.product(range(len(names)), repeat=4)
            if (named := [names[tag] for tag in tags]) == converted(named, scheme)
        ]
        best = max(valid, key=lambda tags: score(logits[0], chain, tags))
        assert viterbi(logits, np.arange(4)[None], chain, permitted)[0].tolist() == list(best)


def test_conversion_keeps_the_spans():
    random = np.random.default_rng(1)
    names = ("O", "B-x", "I-x", "B-y", "I-y")
    for _ in range(50):
        tags = [names[index] for index in random.integers(0, 5, 8)]
        marked = converted(tags, "bioes")
        assert list(spans(marked)) == list(spans(tags))
        assert list(spans(converted(marked, "bio"))) == list(spans(tags))
        assert set(marked) <= set(scheme_names(names, "bioes"))


def test_a_word_without_a_tag_ends_no_span():
    assert converted(["B-x", None, "I-x", None], "bioes") == ["B-x", None, "E-x", None]


def test_types_with_hyphens_keep_them():
    assert scheme_names(("O", "B-creative-work", "I-creative-work"), "bioes")[-1] == "S-creative-work"


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_a_departure_is_found_exactly_where_conversion_changes_the_tags(scheme):
    names = scheme_names(("O", "B-x", "B-y"), scheme)
    for tags in itertools.product(names, repeat=3):
        assert (departure(tags, scheme) is None) == (list(tags) == converted(tags, scheme)), tags
    assert departure(["I-x"], "bio") == "I-x at the beginning"
    assert departure(["B-x"], "bioes") == "B-x at the end"
    assert departure([None, "I-x", None, "O"], scheme) is None


IOB1 = (["O", "I-x", "I-x", "B-x", "O"], ["I-y", "O"])


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        (IOB1, r"line 1 has I-x after O, and 2 of 2 sentences depart"),
        ((["B-x", "I-x", "O"], ["O", "B-x", "B-x"]), None),
        ((["O", "I-x"],), "I-x after O"),
        ((["S-x", "O", "B-x", "E-x"],), None),
        ((["O", "B-x", "O", "S-x"],), "the scheme bioes, .* has O after B-x"),
        ((["B-x", "_", "I-x", "O"],), None),
        ((["noun", "verb"],), "is for tags that mark spans"),
    ],
)
@pytest.mark.parametrize("scheme", [None, "bio"])
def test_a_constrained_decoder_refuses_tags_that_it_could_not_give(sentences, said, scheme):
    task = TASKS.get("crf-tagging").configured({"constrained": True, "scheme": scheme})
    entry = DatasetEntry(roles={"words": ("words",), "tags": ("tags",)})
    table = Table("train.conll", {"tags": list(sentences)}, range(1, len(sentences) + 1))

    def read(unpublished=False):
        names = task.label_names(entry, [table])
        reading = Reading(("tags",), frozenset(entry.roles), names, unpublished=unpublished)
        return next(role for role in task.roles if role.target).read(table, reading)

    if said and "mark spans" in said:
        with pytest.raises(InputError, match="that mark spans"):
            read()
    elif said and scheme is None:
        with pytest.raises(InputError, match=said):
            read()
        assert len(read(unpublished=True)) == len(sentences), "test splits are scored, not learned"
    else:
        assert len(read()) == len(sentences)
