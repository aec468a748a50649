"""Multi-label classification: label sets are read strictly, and the metrics are those of scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn

from common.config.schema import DataConfig
from common.data import load_dataset
from common.errors import InputError, RunError
from common.tasks import TASKS
from common.tasks.multi_label_classification import multi_label_metrics

TASK = TASKS.get("multi-label-classification")


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    logits, labels = random.normal(size=(60, 5)) * 2, (random.random((60, 5)) < 0.3).astype(np.float32)
    labels[:, 4] = 0  # a label that never occurs
    labels[:7] = 0  # examples without a label
    logits[:, 3] = -1 - np.abs(logits[:, 3])  # one that is never predicted
    found, predicted = multi_label_metrics(logits, labels), logits > 0
    probabilities = 1 / (1 + np.exp(-logits))
    losses = [sklearn.log_loss(labels[:, i], probabilities[:, i], labels=[0, 1]) for i in range(5)]
    assert found == pytest.approx(
        {
            "loss": np.mean(losses),
            "f1_micro": sklearn.f1_score(labels, predicted, average="micro", zero_division=0),
            "f1_macro": sklearn.f1_score(labels, predicted, average="macro", zero_division=0),
            "subset_accuracy": sklearn.accuracy_score(labels, predicted),
            "hamming": sklearn.hamming_loss(labels, predicted),
        },
        rel=1e-10,
    )


def test_without_any_label_the_scores_are_0_not_undefined():
    found = multi_label_metrics(np.full((3, 2), -5.0), np.zeros((3, 2)))
    assert (found["f1_micro"], found["f1_macro"], found["subset_accuracy"], found["hamming"]) == (0.0, 0.0, 1.0, 0.0)


def test_losses_of_large_logits_are_finite_and_others_refused():
    assert multi_label_metrics(np.array([[1e4, -1e4]]), np.array([[0, 1]]))["loss"] == 1e4
    with pytest.raises(RunError, match="1 of 2 examples are not"):
        multi_label_metrics(np.array([[1.0], [np.inf]]), np.zeros((2, 1)))


def config(tmp_path, rows, **entries) -> DataConfig:
    """Ten copies of ``rows``, so that the training split, nine tenths of them, has all."""
    if isinstance(rows, str):
        file = tmp_path / "train.csv"
        file.write_text("text,topics\n" + rows)
    else:
        file = tmp_path / "train.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {"train": str(file), "validation": str(file)}
    return DataConfig("files", None, files, "text", None, "topics", None, 16, 8, {}, **entries)


ROWS = [{"text": "one", "topics": ["b", "a"]}, {"text": "two", "topics": []}, {"text": "three", "topics": ["c"]}]


def test_lists_of_labels_become_a_column_a_label_in_sorted_order(tmp_path):
    data = load_dataset(config(tmp_path, ROWS), TASK)
    assert data.label_names == ("a", "b", "c")
    assert data.splits["train"]["labels"][:] == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_label_names_fix_the_order_and_may_name_labels_that_never_occur(tmp_path):
    data = load_dataset(config(tmp_path, ROWS, label_names=("c", "d", "b", "a")), TASK)
    assert data.label_names == ("c", "d", "b", "a")
    assert data.splits["train"]["labels"][:] == [[0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_a_label_outside_of_the_names_is_an_error_with_its_line(tmp_path):
    with pytest.raises(InputError, match=r"line 3: the label must be one of a, b; found 'c'"):
        load_dataset(config(tmp_path, ROWS, label_names=("a", "b")), TASK)


def test_a_field_of_text_is_divided_at_the_named_separator(tmp_path):
    data = load_dataset(config(tmp_path, "one,b | a\ntwo,\nthree,c\n", label_separator="|"), TASK)
    assert data.label_names == ("a", "b", "c")
    assert data.splits["train"]["labels"][:] == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_numbers_in_lists_are_labels_in_the_order_of_numbers(tmp_path):
    rows = [{"text": "one", "topics": [10, 2]}, {"text": "two", "topics": [2]}]
    data = load_dataset(config(tmp_path, rows), TASK)
    assert data.label_names == ("2", "10")
    assert data.splits["train"]["labels"][:] == [[1, 1], [1, 0]]


@pytest.mark.parametrize("value", ["a", "a|b", None, 3, {"a": 1}, [1.5], [True], [["a"]], [None]])
def test_what_is_no_list_of_labels_is_an_error_with_its_line(tmp_path, value):
    rows = [{"text": "one", "topics": ["a"]}, {"text": "two", "topics": value}]
    with pytest.raises(InputError, match=r"train\.jsonl, line 2: a list of labels was expected in column topics"):
        load_dataset(config(tmp_path, rows), TASK)


def test_a_separator_that_nothing_follows_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"line 2: labels were expected between the separators '\|'"):
        load_dataset(config(tmp_path, "one,a|\n", label_separator="|"), TASK)


def test_data_without_any_label_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"Column topics of .* holds no label"):
        load_dataset(config(tmp_path, [{"text": "one", "topics": []}]), TASK)


def test_every_label_of_a_row_whose_labels_are_known_is_a_target():
    batch = {"labels": np.zeros((3, 4), np.float32), "scored": np.array([1, 0, 1], np.int32)}
    assert TASK.targets(batch) == 8
    assert TASK.real_rows(batch).tolist() == [True, False, True]
    assert TASK.targets(TASK.ignored(batch)) == 0
