"""The counted dropout masks: what they depend on, and that they are as independent as draws of NumPy's generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.dropout import counters, kept, limit, step_key

SHAPE = (512, 384)
SITES = [(f"bert.encoder.layer.{site}.output.dropout", step_key(0, step, 0)) for site in range(4) for step in range(5)]


def masks(p):
    return [kept(path, key, SHAPE, p) for path, key in SITES]


def draws(p):
    random = np.random.default_rng(0)
    return [random.random(SHAPE) >= p for _ in SITES]


@pytest.mark.parametrize("changed", [{"seed": 1}, {"step": 1}, {"micro_batch": 1}, {"path": "b"}])
def test_a_mask_depends_on_seed_step_micro_batch_and_path(changed):
    given = {"seed": 0, "step": 0, "micro_batch": 0, "path": "a"}

    def mask(path, **key):
        return kept(path, step_key(**key), (64, 64), 0.5)

    assert np.array_equal(mask(**given), mask(**given))
    agreement = (mask(**given) == mask(**given | changed)).mean()
    assert 0.45 < agreement < 0.55


def test_leading_axes_are_rows_and_a_longer_batch_begins_with_the_shorter_one():
    whole = kept("a", 7, (6, 4, 8), 0.3)
    assert np.array_equal(whole.reshape(24, 8), kept("a", 7, (24, 8), 0.3))
    assert np.array_equal(whole[:2], kept("a", 7, (2, 4, 8), 0.3))
    assert np.array_equal(counters("a", "rows", 9)[:5], counters("a", "rows", 5))


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_the_limit_divides_the_integers_in_the_wanted_share(p):
    assert (limit(p) + 2**31) / 2**32 == pytest.approx(p, abs=2**-31)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_rates_rows_columns_and_rectangles_behave_as_independent_draws(p):
    """Every statistic is one that has mean 0 and variance 1 for independent draws; over 20 masks none strays further
    than theirs could."""

    def statistics(mask):
        z = (mask - (1.0 - p)) / np.sqrt(p * (1.0 - p))
        rows, columns = z.mean(1) * np.sqrt(SHAPE[1]), z.mean(0) * np.sqrt(SHAPE[0])
        rectangles = z[:-1, :-1] * z[1:, :-1] * z[:-1, 1:] * z[1:, 1:]
        neighbours = [
            (z[1:] * z[:-1]).mean() * np.sqrt(z[1:].size),
            (z[:, 1:] * z[:, :-1]).mean() * np.sqrt(z[:, 1:].size),
        ]
        return [z.mean() * np.sqrt(z.size), (rows.var() - 1) * np.sqrt(len(rows) / 2), (columns.var() - 1) * np.sqrt(len(columns) / 2), *neighbours,
                rectangles.mean() * np.sqrt(rectangles.size)]  # fmt: skip

    found, expected = (np.array([statistics(mask) for mask in family]) for family in (masks(p), draws(p)))
    assert np.abs(found).max() < 4.8, "no single mask is out of line"
    assert (np.abs(found.mean(0)) * np.sqrt(len(found)) < 4.0).all(), "no statistic leans to one side"
    assert (found.std(0) < 1.8 * expected.std(0) + 0.5).all()


def test_a_mask_has_no_low_rank_part():
    """The largest singular value of independent draws is sqrt(rows) + sqrt(columns), within a few percent (Bai and Yin
    1993)."""
    for mask in masks(0.5)[:5]:
        largest = np.linalg.svd(2.0 * mask - 1.0, compute_uv=False)[0]
        assert largest < 1.04 * (np.sqrt(SHAPE[0]) + np.sqrt(SHAPE[1]))


def test_masks_of_different_sites_and_steps_are_uncorrelated():
    z = np.array([(mask - 0.9).ravel() / 0.3 for mask in masks(0.1)])
    correlations = (z @ z.T / np.sqrt(z.shape[1]))[np.triu_indices(len(z), 1)]
    assert np.abs(correlations).max() < 4.8
    assert 0.8 < correlations.std() < 1.2
