"""Regression: scores are read strictly, rows without one never count, and the metrics are those of SciPy."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from scipy import stats

from common.config.schema import DataConfig
from common.data import load_dataset
from common.errors import InputError, RunError
from common.tasks import TASKS
from common.tasks.regression import ranks, regression_metrics

TASK = TASKS.get("regression")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_are_those_of_scipy(seed, ties):
    random = np.random.default_rng(seed)
    scores = random.normal(size=200) * 3
    predictions = scores + random.normal(size=200)
    if ties:
        scores, predictions = scores.round(), predictions.round()
    found = regression_metrics(predictions, scores)
    assert found["pearson"] == pytest.approx(stats.pearsonr(predictions, scores).statistic, rel=1e-12)
    assert found["spearman"] == pytest.approx(stats.spearmanr(predictions, scores).statistic, rel=1e-12)
    assert found["mse"] == found["loss"] == pytest.approx(((predictions - scores) ** 2).mean(), rel=1e-12)
    assert found["mae"] == pytest.approx(np.abs(predictions - scores).mean(), rel=1e-12)


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [2.0, 1.0, 2.0, 0.0, 2.0], [0.0, -0.0, 1.0]])
def test_equal_values_share_the_mean_of_their_ranks(values):
    np.testing.assert_array_equal(ranks(np.array(values)), stats.rankdata(values))


@pytest.mark.parametrize("scale", [1e-160, 1.0, 1e150])
def test_correlations_neither_overflow_nor_vanish(scale):
    predictions, scores = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])
    with np.errstate(over="ignore"):
        found = regression_metrics(predictions * scale, scores)
    assert found["pearson"] == pytest.approx(stats.pearsonr(predictions, scores).statistic)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 / 3])
def test_a_constant_has_correlation_0_where_scipy_has_none(value):
    constant, scores = np.full(7, value), np.arange(7.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(stats.pearsonr(constant, scores).statistic)
    for given in ((constant, scores), (scores, constant), (constant, constant)):
        found = regression_metrics(*given)
        assert (found["pearson"], found["spearman"]) == (0.0, 0.0)


def test_metrics_of_what_is_not_finite_are_refused():
    with pytest.raises(RunError, match="1 of 2 are not"):
        regression_metrics(np.array([1.0, np.nan]), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="at least one example"):
        regression_metrics(np.zeros(0), np.zeros(0))


def config(tmp_path, rows, **entries) -> DataConfig:
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataConfig("files", None, {"train": str(file)}, "text", None, "score", None, 16, 8, {}, **entries)


def test_scores_of_any_size_are_kept(tmp_path):
    scores = [-100, 0, -1, 2.5, "3.25", -100.0, 1e10, 7, 8, 9]
    rows = [{"text": f"t{i}", "score": score} for i, score in enumerate(scores)]
    data = load_dataset(config(tmp_path, rows), TASK)
    found = {
        text: score for split in data.splits.values() for text, score in zip(split["text"], split["score"], strict=True)
    }
    assert found == {f"t{i}": float(score) for i, score in enumerate(scores)}


@pytest.mark.parametrize("score", ["", "high", "nan", "inf", "1e999", True, None, [1], {"a": 1}])
def test_what_is_no_finite_number_is_an_error_with_its_line(tmp_path, score):
    rows = [{"text": "a", "score": 1}, {"text": "b", "score": score}, {"text": "c", "score": 1}]
    with pytest.raises(InputError, match=r"train\.jsonl, line 2: a finite number was expected in column score"):
        load_dataset(config(tmp_path, rows), TASK)


def test_a_task_without_classes_takes_no_label_names(tmp_path):
    rows = [{"text": "a", "score": 1}, {"text": "b", "score": 2}]
    with pytest.raises(InputError, match=r"Task regression has no classes, so that data\.label_names is not read"):
        load_dataset(config(tmp_path, rows, label_names=("a", "b")), TASK)


def test_a_row_counts_by_its_mask_whatever_its_score():
    batch = {"labels": np.array([0.0, -100.0, 0.0], np.float32), "scored": np.array([1, 1, 0], np.int32)}
    assert TASK.targets(batch) == 2
    assert TASK.real_rows(batch).tolist() == [True, True, False]
    assert TASK.targets(TASK.ignored(batch)) == 0
    with pytest.raises(InputError, match="at least one target"):
        TASK.step_targets([TASK.ignored(batch)])
