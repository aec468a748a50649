"""Scores of tags, and what becomes of words that the model does not see."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from common.backend import EvalResult
from common.backend.batch import IGNORE, BatchSchema
from common.data.encoding import Encoded
from common.distributed import ALONE
from common.errors import RunError
from common.metrics import tag_metrics
from common.tasks import TASKS

TASK = TASKS.get("token-classification")
TAGS = ("O", "B-x", "I-x")


@settings(deadline=None, max_examples=100)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=20))
def test_accuracy_and_macro_f1_are_scikit_learns(pairs):
    from sklearn.metrics import accuracy_score, f1_score

    truth, found = np.array(pairs).T
    occurring = sorted({*truth, *found} - {-1})
    expected = f1_score(truth, found, labels=occurring, average="macro", zero_division=0)
    scores = tag_metrics(found, truth, 4)
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, found), abs=1e-12)
    assert scores["f1_macro"] == pytest.approx(expected, abs=1e-12)


def split(minilm_folder, max_length, names=TAGS):
    from common.data import load_tokenizer

    rows = Dataset.from_dict({"words": [["a", "b", "c"], ["d"]], "tags": [[0, 1, 2], [1]]})
    columns, truncated = TASK.encode(rows, load_tokenizer(str(minilm_folder)), max_length)
    return Encoded(TASK, BatchSchema(()), columns, 0, max_length, truncated, label_names=names)


def perfect(encoded, index, width=8):
    """Logits that give every word its tag."""
    labels = encoded.columns["labels"][index]
    logits = np.zeros((width, len(encoded.label_names)), np.float32)
    logits[np.arange(len(labels)), np.maximum(labels, 0)] = 1.0
    return logits


def scored(encoded, order=((0, 1),), fill=1, loss=2.0):
    evaluator = TASK.evaluator(encoded)
    for indices in order:
        rows = [perfect(encoded, index) for index in indices] + [np.ones((8, len(TAGS)), np.float32)] * fill
        evaluator.update(np.array(indices, np.int64), {}, EvalResult(loss, 4, {"logits": np.stack(rows)}))
    evaluator.reduce(ALONE)
    return evaluator.metrics()


def test_right_tags_score_one_in_any_order_of_batches_and_filling_rows_count_for_nothing(minilm_folder):
    expected = {"loss": 0.5, "accuracy": 1.0, "precision": 1.0, "recall": 1.0, "f1": 1.0, "unseen_words": 0.0}
    assert scored(split(minilm_folder, 16)) == expected
    assert scored(split(minilm_folder, 16), order=((1,), (0,))) == expected


def test_words_that_were_cut_off_are_wrong_and_outside_of_spans(minilm_folder):
    scores = scored(split(minilm_folder, 3))  # of the first sentence one word is left
    assert scores["unseen_words"] == 2.0
    assert scores["accuracy"] == 0.5
    assert (scores["precision"], scores["recall"]) == (1.0, 0.5)


def test_tags_without_spans_have_a_macro_f1_instead(minilm_folder):
    scores = scored(split(minilm_folder, 16, ("NOUN", "VERB", "X")))
    assert scores == {"loss": 0.5, "accuracy": 1.0, "f1_macro": 1.0, "unseen_words": 0.0}


@pytest.mark.parametrize("scheme", [None, "bio"])
def test_words_without_a_tag_are_left_out_of_spans_as_of_everything(scheme, minilm_folder):
    """Whatever is predicted for them: the spans are those of the other words, as they are learned with a scheme."""
    from common.data import load_tokenizer

    task = TASK.configured({"scheme": scheme})
    rows = Dataset.from_dict({"words": [["a", "b", "c"], ["d", "e"]], "tags": [[1, IGNORE, 2], [0, IGNORE]]})
    columns, _ = task.encode(rows, load_tokenizer(str(minilm_folder)), 16)
    for guess in range(len(TAGS)):
        encoded = Encoded(task, BatchSchema(()), columns, 0, 16, label_names=TAGS)
        logits = np.zeros((2, 8, len(TAGS)), np.float32)
        for row, tags in enumerate([(1, guess, 2), (0, guess)]):
            logits[row, 1 + np.arange(len(tags)), tags] = 1.0
        evaluator = task.evaluator(encoded)
        evaluator.update(np.arange(2), {}, EvalResult(2.0, 4, {"logits": logits}))
        scores = evaluator.metrics()
        assert [scores[name] for name in ("accuracy", "precision", "recall", "f1")] == [1.0] * 4, TAGS[guess]


def test_a_loss_that_is_not_finite_ends_the_evaluation(minilm_folder):
    with pytest.raises(RunError, match="finite"):
        scored(split(minilm_folder, 16), loss=float("nan"))


def test_processes_each_see_a_part_and_their_sum_is_the_whole(minilm_folder):
    class Other:
        """The second process, which saw the second sentence."""

        rank, size = 0, 2

        def sum_array(self, array):
            return array + other._found if array.ndim == 1 else array * np.array([1, 1]).reshape(-1, 1, 1)

    encoded = split(minilm_folder, 16)
    first, other = TASK.evaluator(encoded), TASK.evaluator(encoded)
    for evaluator, index in ((first, 0), (other, 1)):
        result = EvalResult(1.0, 2, {"logits": perfect(encoded, index)[None]})
        evaluator.update(np.array([index]), {}, result)
    first.reduce(Other())
    assert first.metrics()["f1"] == 1.0
