"""Metrics agree with scikit-learn on everything it accepts, and refuse what would give a misleading number."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import InputError, RunError
from common.metrics import CLASSIFICATION, LANGUAGE, better, classification_metrics, language_metrics
from common.tasks import TASKS


def one_hot(predictions, classes):
    return np.eye(classes)[predictions] * 3.0


def oracle(labels, predictions, logits):
    from sklearn import metrics as sk

    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    expected = {
        "accuracy": sk.accuracy_score(labels, predictions),
        "matthews_correlation": sk.matthews_corrcoef(labels, predictions),
        "loss": sk.log_loss(labels, probabilities, labels=range(logits.shape[1])),
    }
    for average in ("macro", "weighted"):
        values = sk.precision_recall_fscore_support(labels, predictions, average=average, zero_division=0)[:3]
        expected |= {
            f"{name}_{average}": value for name, value in zip(("precision", "recall", "f1"), values, strict=True)
        }
    return expected


@pytest.mark.filterwarnings("ignore:A single label")
@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 6).flatmap(
        lambda k: st.tuples(
            st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=40)
        )
    )
)
@example((2, [(0, 0), (0, 0)]))  # one class only
@example((3, [(0, 1), (2, 1)]))  # constant prediction, a class never predicted
@example((2, [(0, 1), (1, 0)]))  # all wrong
def test_classification_metrics_equal_scikit_learn(case):
    classes, pairs = case
    labels, predictions = np.array(pairs).T
    logits = one_hot(predictions, classes)
    found = classification_metrics(logits, labels)
    expected = oracle(labels, predictions, logits)
    assert set(found) == set(expected)
    assert found == pytest.approx(expected, abs=1e-12)


def test_loss_is_exact_for_large_logits():
    assert classification_metrics(np.array([[1000.0, 0.0]], np.float32), np.array([1]))["loss"] == pytest.approx(1000.0)


def test_constant_predictions_have_matthews_correlation_zero():
    assert classification_metrics(one_hot([1, 1, 1, 1], 2), np.array([0, 1, 1, 0]))["matthews_correlation"] == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error_and_not_a_score(bad):
    logits = one_hot([0, 1, 1], 2)
    logits[1, 0] = bad
    with pytest.raises(RunError, match="1 of 3"):
        classification_metrics(logits, np.array([0, 1, 1]))


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.zeros((2, 2)), np.zeros(3, int)),
        (np.zeros(2), np.zeros(2, int)),
        (np.zeros((2, 2)), np.array([0, 2])),
        (np.zeros((2, 2)), np.array([0, -100])),
    ],
)
def test_unscorable_input_is_refused(logits, labels):
    with pytest.raises(InputError):
        classification_metrics(logits, labels)


def test_perplexity_is_the_exponential_of_the_mean_loss():
    assert language_metrics(20 * math.log(50), 20) == pytest.approx({"loss": math.log(50), "perplexity": 50.0})


@pytest.mark.parametrize("loss_sum", [math.nan, math.inf, 1e6])
def test_a_loss_without_finite_perplexity_is_an_error(loss_sum):
    with pytest.raises(RunError):
        language_metrics(loss_sum, 1)


def test_perplexity_of_no_tokens_is_refused():
    with pytest.raises(InputError):
        language_metrics(0.0, 0)


ALL = {**CLASSIFICATION, **LANGUAGE}


def test_lower_is_better_for_loss_and_perplexity_only():
    lower = {metric for metric, higher in ALL.items() if better(0.1, 0.2, higher)}
    assert lower == {"loss", "perplexity"}
    assert all(better(0.2, 0.1, ALL[metric]) for metric in ALL.keys() - lower)


@pytest.mark.parametrize("higher", [False, True])
def test_a_tie_is_no_improvement_and_nan_never_is_one(higher):
    assert not better(0.5, 0.5, higher)
    assert not better(math.nan, 0.5, higher)
    assert not better(math.nan, None, higher)
    assert not better(math.nan, math.nan, higher)
    assert better(0.5, math.nan, higher)
    assert better(0.5, None, higher)


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="accuracy"):
        TASKS.get("sequence-classification").higher_is_better("acuracy")


def test_every_reported_metric_can_decide_the_best_checkpoint():
    assert classification_metrics(one_hot([0, 1], 2), np.array([0, 1])).keys() == CLASSIFICATION.keys()
    assert language_metrics(1.0, 1).keys() == LANGUAGE.keys()
