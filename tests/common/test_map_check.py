"""What ``twinlora map check`` compares, and how its inputs are written. Needs no framework."""

from __future__ import annotations

import numpy as np
import pytest

from common.api_mapping.checking import LIMIT, table, to_json
from common.api_mapping.checking.compare import Comparison, compare
from common.api_mapping.checking.inputs import arguments, draw_inputs
from common.api_mapping.checking.weights import matched, moved
from common.errors import InputError


def test_inputs_have_the_dtype_shape_and_bound_that_was_asked_for():
    floats, small, flags, scalar, unit = draw_inputs(
        ["float32[2,3]", "int64[2,16]<5", "bool[2,2]=1", "float64[]", "float32[40]<1"]
    )
    assert (floats.dtype, floats.shape) == (np.float32, (2, 3))
    assert small.dtype == np.int64
    assert set(small.ravel()) <= set(range(5))
    assert len(set(small.ravel())) > 2
    assert flags.dtype == bool
    assert flags.all()
    assert (scalar.dtype, scalar.shape) == (np.float64, ())
    assert 0 <= unit.min() <= unit.max() <= 1
    assert np.array_equal(floats, draw_inputs(["float32[2,3]"])[0])


@pytest.mark.parametrize("text", ["float32", "float31[2]", "float32(2)", "float32[a]", "int64[2]<x y"])
def test_other_descriptions_of_inputs_are_refused(text):
    with pytest.raises(InputError, match="--input must be dtype"):
        draw_inputs([text])


def test_constructor_arguments_are_python_literals():
    assert arguments(["a=1", "b=(2, 3)", "c='x'"]) == {"a": 1, "b": (2, 3), "c": "x"}
    for wrong in ("a", "=1", "a=b", "1=2"):
        with pytest.raises(InputError, match="--init must be name=value"):
            arguments([wrong])


def test_equal_arrays_are_equal_and_others_are_named():
    one = {"a": np.array([1.0, 2.0], np.float32), "b": np.array([3], np.int64)}
    assert compare("", "", "", one, one).error == 0
    found = compare("", "", "", one, {**one, "a": np.array([1.0, 2.1], np.float32)})
    assert found.where == "a"
    assert not found.equal()


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((2, 1), np.float32),
        np.array([1, 2]),
        np.array([np.nan, 2], np.float32),
        np.array([np.inf, 2], np.float32),
    ],
)
def test_shapes_kinds_and_places_of_nan_must_agree(other):
    one = np.array([1.0, 2.0], np.float32)
    assert compare("", "", "", {"a": one}, {"a": other}).error == float("inf")


def test_special_values_in_the_same_places_are_equal():
    one = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert compare("", "", "", {"a": one}, {"a": one.copy()}).error == 0
    assert not compare("", "", "", {"a": one}, {"a": -one}).equal()


def test_a_gradient_that_is_zero_but_for_rounding_is_compared_with_the_others():
    torch = {"large": np.array([1.0], np.float32), "zero": np.array([1e-9], np.float32)}
    mindspore = {"large": np.array([1.0], np.float32), "zero": np.array([-3e-9], np.float32)}
    assert compare("", "", "", torch, mindspore).equal()
    assert not compare("", "", "", torch, {**mindspore, "zero": np.array([1e-3], np.float32)}).equal()


def test_an_error_is_no_equality_and_what_was_skipped_is_told():
    refused = Comparison("training", "compiled", "outputs", None, refused="no")
    skipped = Comparison("training", "", "everything", None, skipped="random")
    assert not refused.equal()
    assert to_json([refused])["equal"] is False
    assert "random" in table([skipped])
    assert "error" in table([refused], LIMIT)


def test_names_of_mindspores_own_cells_find_their_torch_keys():
    torch = {"bn.weight": (3,), "bn.bias": (3,), "bn.running_mean": (3,), "e.weight": (4, 2)}
    cell = {"bn.gamma": (3,), "bn.beta": (3,), "bn.moving_mean": (3,), "e.embedding_table": (4, 2)}
    assert matched(torch, cell) == dict(zip(cell, torch, strict=True))
    with pytest.raises(InputError, match="other has no counterpart"):
        matched(torch, {"other": (3,)})
    with pytest.raises(InputError, match=r"bn\.gamma is \(4,\) here and \(3,\) in torch"):
        matched(torch, {"bn.gamma": (4,)})


def test_weights_are_moved_from_their_start_values_and_tied_ones_together():
    state = {"a": np.zeros(3, np.float32), "b": np.zeros(3, np.float32), "mask": np.ones(3, np.float32)}
    found = moved(state, ["a", "b"], {"a": "a", "b": "a"})
    assert np.array_equal(found["a"], found["b"])
    assert np.abs(found["a"]).min() > 0
    assert np.array_equal(found["mask"], state["mask"])
