"""The filters of the next token's scores: what each promises for any scores."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.generation.filters import (
    filters,
    log_softmax,
    min_p,
    penalise,
    repeated,
    softmax,
    surviving,
    top_k,
    top_p,
    typical_p,
)
from common.generation.options import GenerationOptions

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.floats(-20, 20, width=32))
SHARE = st.floats(0.01, 0.99)
TOKENS = arrays(np.int32, st.integers(0, 25), elements=st.integers(0, 4))
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(SCORES, st.integers(1, 40))
def test_top_k_keeps_the_k_largest_and_what_equals_the_last(scores, k):
    kept = top_k(scores, k)
    assert kept.sum() >= min(k, len(scores))
    if not kept.all():
        assert scores[kept].min() > scores[~kept].max()
        assert (scores > scores[kept].min()).sum() < k


@FEW
@given(SCORES, SHARE)
def test_top_p_keeps_the_fewest_of_the_most_probable_that_reach_p(scores, p):
    kept, probabilities = top_p(scores, p), softmax(scores)
    assert probabilities[kept].sum() >= p - 1e-12
    if not kept.all():
        assert scores[kept].min() >= scores[~kept].max()
    assert kept.sum() == 1 or probabilities[kept].sum() - probabilities[kept].min() < p + 1e-12


@FEW
@given(SCORES, SHARE)
def test_min_p_keeps_what_reaches_a_share_of_the_largest_probability(scores, p):
    kept, probabilities = min_p(scores, p), softmax(scores)
    assert kept[scores.argmax()]
    assert (probabilities[kept] >= p * probabilities.max()).all()
    assert (probabilities[~kept] < p * probabilities.max()).all()


@FEW
@given(SCORES, SHARE)
def test_typical_p_keeps_what_is_nearest_to_the_entropy_and_has_the_mass(scores, mass):
    kept, probabilities = typical_p(scores, mass), softmax(scores)
    distance = np.abs(-np.log(probabilities) - (-(probabilities * np.log(probabilities)).sum()))
    assert probabilities[kept].sum() >= mass - 1e-9
    if not kept.all():
        assert distance[kept].max() <= distance[~kept].min() + 1e-9


@FEW
@given(SCORES, st.integers(1, 5), SHARE, st.integers(0, 4), st.floats(0.1, 4))
def test_together_they_leave_so_many_tokens_as_must_stay(scores, least, p, k, temperature):
    options = GenerationOptions(top_k=k, top_p=p, min_p=p, typical_p=p, temperature=temperature)
    tokens, left = surviving(scores, temperature, filters(options, least))
    assert len(tokens) >= min(least, len(scores))
    assert (np.diff(tokens) > 0).all()
    assert np.array_equal(left, scores[tokens] / temperature)


def test_what_is_ruled_out_takes_no_part():
    scores = np.array([-np.inf, 2.0, -np.inf, 1.0])
    tokens, left = surviving(scores, 0.5, filters(GenerationOptions(top_p=0.999)))
    assert (tokens.tolist(), left.tolist()) == ([1, 3], [4.0, 2.0])


@FEW
@given(SCORES)
def test_probabilities_add_up_to_one(scores):
    assert abs(softmax(scores).sum() - 1) < 1e-12
    assert np.allclose(np.exp(log_softmax(scores)), softmax(scores), rtol=1e-12, atol=0)
    single = log_softmax(scores.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - log_softmax(scores)).max() < 1e-5


@FEW
@given(TOKENS, st.integers(1, 5))
def test_no_sequence_that_is_there_can_be_completed(history, size):
    there = {tuple(history[start : start + size]) for start in range(len(history) - size + 1)}
    banned = set(repeated(history, size).tolist())
    for token in range(5):
        tail = (*history[len(history) + 1 - size :].tolist(), token) if size > 1 else (token,)
        completes = len(history) >= size and tail in there
        assert (token in banned) == completes


@FEW
@given(SCORES, TOKENS, st.floats(0.2, 5))
def test_a_penalty_moves_each_token_that_is_there_once(scores, history, penalty):
    history = history % len(scores)
    changed = scores.copy()
    penalise(changed, history, penalty)
    for token, (before, after) in enumerate(zip(scores, changed, strict=True)):
        expected = (before * penalty if before < 0 else before / penalty) if token in history else before
        assert after == expected
