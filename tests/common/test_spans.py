"""Spans and their scores are seqeval's, for every sequence of tags, also for those that no scheme allows."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.spans import has_spans, span_scores, spans

RECORDED = Path(__file__).with_name("seqeval_scores.json")  #: written by `record`, with seqeval 1.2.2
SCHEMES = {"IOB2": "BI", "IOBES": "BIES"}
TYPES = ("person", "creative-work", "x")


def tags_of(scheme):
    return ["O", *(f"{prefix}-{kind}" for prefix in SCHEMES[scheme] for kind in TYPES)]


def pairs(scheme):
    tag = st.sampled_from(tags_of(scheme))
    sentence = st.lists(st.tuples(tag, tag), min_size=1, max_size=8)
    return st.lists(sentence, min_size=1, max_size=4)


def split(sentences):
    return tuple([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))


def reference(truth, predicted):
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.metrics.sequence_labeling import get_entities

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every division by zero
        scores = [float(score(truth, predicted)) for score in (precision_score, recall_score, f1_score)]
    return scores, [[[kind, start, stop + 1] for kind, start, stop in get_entities(tags)] for tags in truth]


def record() -> None:
    """python -c 'from tests.common.test_spans import record; record()'"""
    import numpy as np

    random, cases = np.random.default_rng(0), []
    for number in range(80):
        names = tags_of(list(SCHEMES)[number % 2])
        lengths = random.integers(1, 9, random.integers(1, 4))
        truth, predicted = ([list(map(str, random.choice(names, size))) for size in lengths] for _ in range(2))
        if number % 4 > 1:  # so that some spans are right
            predicted = [list(sentence) for sentence in truth]
            predicted[0][0] = str(random.choice(names))
        scores, found = reference(truth, predicted)
        cases.append({"truth": truth, "predicted": predicted, "scores": scores, "spans": found})
    RECORDED.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n", encoding="utf-8")


def test_recorded_sequences_have_seqevals_spans_and_scores():
    cases = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert len({case["scores"][2] for case in cases}) > 20
    for case in cases:
        assert [[list(span) for span in spans(tags)] for tags in case["truth"]] == case["spans"]
        scores = span_scores(case["truth"], case["predicted"])
        assert list(scores.values()) == pytest.approx(case["scores"], abs=1e-12)
        assert list(scores) == ["precision", "recall", "f1"]


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_every_sequence_has_seqevals_spans_and_scores(scheme, data):
    pytest.importorskip("seqeval", reason="its sdist builds with setuptools_scm < 8 alone; recorded scores are tested")
    truth, predicted = split(data.draw(pairs(scheme)))
    expected, found = reference(truth, predicted)
    assert [[list(span) for span in spans(tags)] for tags in truth] == found
    assert list(span_scores(truth, predicted).values()) == pytest.approx(expected, abs=1e-12)


def test_a_span_may_begin_with_i_and_ends_with_its_type():
    assert list(spans(["O", "I-a", "I-a", "I-b", "B-b", "O"])) == [("a", 1, 3), ("b", 3, 4), ("b", 4, 5)]


@pytest.mark.parametrize(
    ("names", "marked"),
    [
        (("O", "B-person", "I-person"), True),
        (("B-x", "I-x", "E-x", "S-x", "O"), True),
        (("B-x", "I-x"), True),
        (("NOUN", "VERB", "ADP"), False),
        (("O", "X"), False),
        (("O",), False),
        (("O", "B-", "I-x"), False),
        (("O", "B-x", "person"), False),
    ],
)
def test_tag_names_say_whether_there_are_spans(names, marked):
    assert has_spans(names) is marked
