"""The comparisons of this suite on planted defects: a check that cannot fail proves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import assert_all_near, assert_identical, assert_near, relative_error

GOOD = np.array([[1.0, -2.0], [0.5, 4.0]], np.float32)


def test_equal_arrays_have_no_error():
    assert relative_error(GOOD, GOOD.copy()) == 0.0


@pytest.mark.parametrize("planted", [np.nan, np.inf, -np.inf, 4.001])
def test_one_wrong_value_is_seen(planted):
    bad = GOOD.copy()
    bad[1, 1] = planted
    with pytest.raises(AssertionError):
        assert_near(bad, GOOD, 1e-4)
    with pytest.raises(AssertionError):
        assert_near(bad, GOOD, 1e-4, absolute=True)
    with pytest.raises(AssertionError):
        assert_identical({"x": bad}, {"x": GOOD})


def test_nan_on_both_sides_does_not_pass():
    bad = np.full_like(GOOD, np.nan)
    for check in (lambda: assert_near(bad, bad, 1e9), lambda: assert_identical({"x": bad}, {"x": bad})):
        with pytest.raises(AssertionError):
            check()


def test_an_expectation_of_zeros_or_of_nothing_proves_nothing():
    zeros = np.zeros(3, np.float32)
    for actual, expected in ((zeros, zeros), (np.zeros(0), np.zeros(0))):
        with pytest.raises(AssertionError):
            assert_near(actual, expected, 1.0)
    with pytest.raises(AssertionError):
        assert_all_near({}, {}, 1.0)
    with pytest.raises(AssertionError):
        assert_identical({}, {})


def test_shapes_and_names_must_agree_even_where_values_broadcast():
    with pytest.raises(AssertionError):
        assert_near(np.ones((2, 1)), np.ones((2, 2)), 1.0)
    with pytest.raises(AssertionError):
        assert_all_near({"a": GOOD}, {"a": GOOD, "b": GOOD}, 1.0)
    with pytest.raises(AssertionError):
        assert_identical({"a": GOOD}, {"b": GOOD})


def test_identity_sees_the_sign_of_zero_and_the_dtype():
    with pytest.raises(AssertionError):
        assert_identical({"a": np.float32([0.0])}, {"a": np.float32([-0.0])})
    with pytest.raises(AssertionError):
        assert_identical({"a": np.float32([1.0])}, {"a": np.float64([1.0])})
