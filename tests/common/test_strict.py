"""Arrays are exactly those expected: names, shapes, kinds of numbers, finite values."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import InputError
from common.strict import array_problems, check_arrays

STATE = {"step": np.asarray(0, np.int64), "exp_avg": np.zeros((2, 2), np.float32)}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_shape_expects_any_floating_dtype(dtype):
    assert array_problems({"a": (2,)}, {"a": np.ones(2, dtype)}) == []


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(np.int8, "integers"), (np.int64, "integers"), (bool, "booleans"), (np.complex64, "complex numbers")],
)
def test_a_shape_expects_no_other_dtype(dtype, kind):
    (problem,) = array_problems({"a": (2,)}, {"a": np.ones(2, dtype)})
    assert problem == f"a: holds {kind} ({np.dtype(dtype)}), expected floating-point numbers"


def test_an_array_expects_its_own_kind():
    assert array_problems(STATE, {"step": np.asarray(3, np.int64), "exp_avg": np.ones((2, 2), np.float64)}) == []
    wrong = {"step": np.asarray(3.0), "exp_avg": np.ones((2, 2), np.int8)}
    assert array_problems(STATE, wrong) == [
        "step: holds floating-point numbers (float64), expected integers",
        "exp_avg: holds integers (int8), expected floating-point numbers",
    ]


def test_everything_that_is_wrong_is_listed():
    arrays = {"b": np.ones(3), "c": np.array([np.nan]), "d": np.ones(1)}
    with pytest.raises(
        InputError, match=r"(?s)a: missing.*d: unexpected.*b: shape \(3,\), expected \(2,\).*c: holds NaN"
    ):
        check_arrays({"a": (1,), "b": (2,), "c": (1,)}, arrays)
