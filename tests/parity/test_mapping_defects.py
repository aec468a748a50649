"""Planted defects: verification sees each and names the row, the call, the place and both values; and what counts as
equal at all."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from common.api_mapping.arrays import normal
from common.api_mapping.row import Row, arrays_of, forward_only
from common.api_mapping.rows import find
from common.api_mapping.running import open_backends, verify_rows
from common.api_mapping.tolerance import CLASSES, Result, compare
from common.api_mapping.verify import Outcome, references, try_target, verify
from common.cli.main import main

NUMBER = r"-?(?:\d[\d.e+-]*|nan|inf)"
VALUES = rf"at \[(?P<place>[\d, ]*)\]: (?P<ours>{NUMBER}), torch (?P<torch>{NUMBER})(?: \(float64 {NUMBER}\))?(?:, error {NUMBER} exceeds {NUMBER})?"


def needs_both(test):
    return pytest.mark.needs_pytorch(pytest.mark.needs_mindspore(test))


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """Puts what ``make`` makes of a row's target in that target's place; returns the row."""
    import mindspore_impl.mapping

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the shipped lock file chooses

    def replace(name: str, make) -> Row:
        row, known = find(name), mindspore_impl.mapping.resolve
        target = open_backends("cpu").locked[row.name]["target"]
        monkeypatch.setattr(
            mindspore_impl.mapping, "resolve", lambda wanted: make(known(wanted)) if wanted == target else known(wanted)
        )
        return row

    return replace


# Defects


def swapped(function):
    """Outputs the other way round."""

    def planted(*arguments, **keywords):
        found = function(*arguments, **keywords)
        return found[::-1] if isinstance(found, tuple) else found

    return planted


def first_only(function):
    """Values without indices."""
    return lambda *arguments, **keywords: function(*arguments, **keywords)[0]


def narrower(function):
    """int32 indices."""
    import mindspore as ms

    return lambda *arguments, **keywords: function(*arguments, **keywords).astype(ms.int32)


def biased(function):
    """Divides by n by default."""

    def planted(input, dim=None, unbiased=False, keepdim=False, *, correction=None):
        return function(input, dim, unbiased, keepdim, correction=correction)

    return planted


def without_nan(function):
    """NaN becomes 0."""
    from mindspore import ops

    def planted(*arguments, **keywords):
        found = function(*arguments, **keywords)
        return ops.where(ops.isnan(found), ops.zeros_like(found), found) if found.is_floating_point() else found

    return planted


def other_rate(function):
    """Drops a twentieth more, and scales by what it drops."""

    def planted(input, p=0.5, training=True, inplace=False):
        return function(input, p if p in (0.0, 1.0) else p + 0.05, training, inplace)

    return planted


def nudged(function):
    """1e-3 is added to the last element of the gradient of the first argument."""
    from mindspore import Tensor, nn

    class Nudge(nn.Cell):
        def construct(self, x):
            return x

        def bprop(self, x, out, gradient):
            error = np.zeros(x.shape)
            error.flat[-1:] = 1e-3
            return (gradient + Tensor(error, gradient.dtype),)

    nudge = Nudge()
    return lambda input, *arguments, **keywords: function(nudge(input), *arguments, **keywords)


@needs_both
@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("torch.max", swapped, f"output 0: dtype int64, torch (float32|float64|int32|bool)|output 0: {VALUES}"),
        ("torch.aminmax", swapped, f"output 0: {VALUES}"),
        ("torch.sort", first_only, r"returns tensor, torch \(tensor, tensor\)"),
        ("torch.argmax", narrower, "output 0: dtype int32, torch int64"),
        ("torch.var", biased, f"output 0: {VALUES}"),
        ("torch.nn.functional.relu", without_nan, r"output 0: at \[2\]: 0\.0, torch nan \(float64 nan\)"),
        ("torch.nn.functional.layer_norm", nudged, f"gradient 0: {VALUES}"),
        ("torch.sum", nudged, f"gradient 0: {VALUES}"),
        (
            "torch.nn.functional.dropout",
            other_rate,
            r"output 0: distributions 0\.0\d+ apart, samples of one are at most 0\.026 apart",
        ),
    ],
)
def test_a_defect_is_named_with_call_place_and_both_values(name, make, message, plant):
    row = plant(name, make)
    [(_, results)] = verify_rows([row], open_backends("cpu"), "pynative")
    result = results["pynative"]
    assert (result.name, result.verdict) == (row.name, "failed")
    assert result.outcome.failures
    for failure in result.outcome.failures:
        assert failure.case in map(str, row.cases)
        assert re.fullmatch(message, failure.message), failure.message


@needs_both
@pytest.mark.parametrize("name", ["torch.nn.functional.layer_norm", "torch.sum"])
def test_the_element_of_the_gradient_that_is_off_is_told_in_every_call(name, plant):
    row = plant(name, nudged)
    [(_, results)] = verify_rows([row], open_backends("cpu"), "pynative")
    result = results["pynative"]
    compared = {str(case): next(arrays_of(case)) for case in row.cases if case.gradient}
    assert {failure.case for failure in result.outcome.failures} == set(compared)
    for failure in result.outcome.failures:
        found = re.search(VALUES, failure.message)
        assert f"[{found['place']}]" == str([size - 1 for size in compared[failure.case].shape]), failure
        assert float(found["ours"]) - float(found["torch"]) == pytest.approx(1e-3, rel=0.02), failure


@needs_both
def test_the_told_values_are_those_that_were_computed(plant):
    row = plant("torch.var", biased)
    [(_, results)] = verify_rows([row], open_backends("cpu"), "pynative")
    result = results["pynative"]
    [first] = [failure for failure in result.outcome.failures if failure.case == "3x4 normal"]
    found = re.search(VALUES, first.message)
    assert float(found["ours"]) / float(found["torch"]) == pytest.approx(11 / 12, rel=1e-5)


@needs_both
@pytest.mark.parametrize("mode", ["pynative", "graph"])
def test_the_command_fails_and_prints_these_facts(plant, capsys, mode):
    plant("torch.var", biased)
    assert main(["map", "verify", "torch.bitwise_and", "torch.var", "--device", "cpu", "--mode", mode]) == 1
    out, err = capsys.readouterr()
    assert re.search(rf"^  torch\.var\(3x4 normal\): output 0: {VALUES}$", out, re.MULTILINE)
    assert re.search(r"^torch\.bitwise_and +exact ", out, re.MULTILINE)
    assert "2 rows: 1 exact, 1 failed" in out
    assert "1 of 2 rows failed: torch.var." in err


# What was not run


def tried(row: Row, target: str = "ops.abs") -> Outcome:
    """A target of MindSpore, tried on all calls of ``row``."""
    import mindspore_impl.mapping
    import pytorch_impl.mapping

    return try_target(
        row,
        target,
        mindspore_impl.mapping.resolve(target),
        mindspore_impl.mapping,
        references(row, pytorch_impl.mapping),
    )


@needs_both
def test_a_row_of_which_nothing_was_run_is_no_pass():
    backends = open_backends("cpu")
    nothing = Row("torch.abs", ("ops.abs",), ())
    refused = Row(
        "torch.abs",
        ("ops.no_such",),
        (forward_only(normal(3)), forward_only(normal(4), out=None)),
        limits={"normal": "known"},
    )
    chosen = {"torch.abs": {"target": "ops.abs", "passed": ["ops.abs"]}}
    unsupported = dataclasses.replace(nothing, cases=refused.cases)
    assert not tried(nothing).passed
    assert [result.verdict for result in verify([nothing], backends.torch, backends.mindspore, chosen)] == ["failed"]
    assert [result.verdict for result in verify([unsupported], backends.torch, backends.mindspore, {})] == [
        "unsupported here"
    ]

    def refuses(*arguments, **keywords):
        raise TypeError("no kernel")

    outcome = try_target(refused, "planted", refuses, backends.mindspore, references(refused, backends.torch))
    assert (outcome.cases, len(outcome.refused), outcome.failures, outcome.passed) == (2, 2, [], False)
    assert [
        result.verdict
        for result in verify([refused], backends.torch, backends.mindspore, {"torch.abs": {"target": "ops.no_such"}})
    ] == ["failed"]


@needs_both
def test_a_limit_excuses_an_error_and_nothing_else():
    """It covers the calls it names; where such a call runs after all, the row is out of date."""
    row = Row(
        "torch.abs",
        ("ops.abs",),
        (forward_only(normal(3)), forward_only(normal(4, dtype="float64"))),
        limits={"float64": "has no kernel"},
    )
    [failure] = tried(row).failures
    assert (failure.case, failure.message) == ("float64 4 normal", "runs, although the row says: has no kernel")
    uncovered = dataclasses.replace(row, limits={"int32": "has no kernel"})
    assert tried(uncovered).passed
    assert "TypeError" in tried(Row("torch.abs", ("ops.matmul",), row.cases[:1]), "ops.matmul").failures[0].message


@needs_both
def test_a_target_that_goes_wrong_from_a_later_call_on_is_found_by_repeating():
    from mindspore import ops

    import mindspore_impl.mapping
    import pytorch_impl.mapping

    calls = []

    def tiring(x):
        calls.append(x)
        return ops.abs(x) if len(calls) < 3 else ops.abs(x) + 1

    row = Row("torch.abs", ("ops.abs",), (forward_only(normal(3)),))
    known = references(row, pytorch_impl.mapping)
    assert try_target(row, "planted", tiring, mindspore_impl.mapping, known).passed
    outcome = try_target(row, "planted", tiring, mindspore_impl.mapping, known, repeat=10)
    assert (len(outcome.failures), outcome.cases, len(calls)) == (1, 1, 3)  # the third call ends it


@needs_both
def test_the_gradient_of_logit_can_be_taken_again_and_again():
    """That of MindSpore's own operator ends the process, at the latest in the twentieth call."""
    [(_, results)] = verify_rows([find("torch.logit")], open_backends("cpu"), "pynative", repeat=30)
    result = results["pynative"]
    assert result.verdict == "adapted"


# What counts as equal


def array(*values: float, dtype: str = "float32") -> np.ndarray:
    return np.array(values, dtype)


def problem(
    ours: np.ndarray, torchs: np.ndarray, tolerance: str = "rounding", exact: np.ndarray | None = None
) -> str | None:
    exact = (
        torchs.astype(np.float64) if exact is None and torchs.dtype.kind == "f" else torchs if exact is None else exact
    )
    return compare(
        Result((ours,), "tensor"), Result((torchs,), "tensor"), Result((exact,), "tensor"), tolerance
    ).problem


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("tolerance", list(CLASSES))
def test_nan_and_infinity_must_stand_where_torchs_do(tolerance):
    special = array(1.0, NAN, INF, -INF)
    assert problem(special, special.copy(), tolerance) is None
    for place, wrong in ((0, NAN), (0, INF), (1, 1.0), (1, INF), (2, NAN), (2, -INF), (2, 3.4e38), (3, INF)):
        ours = special.copy()
        ours[place] = wrong
        assert problem(ours, special, tolerance).startswith(
            f"output 0: at [{place}]: {ours[place]!s}, torch {special[place]!s} (float64 "
        )


def test_an_overflow_of_float32_is_compared_with_torchs_and_not_with_the_reference():
    exact = array(1e39, 1.0, dtype="float64")
    assert problem(array(INF, 1.0), array(INF, 1.0), exact=exact) is None
    assert "at [0]: 3e+38, torch inf" in problem(array(3e38, 1.0), array(INF, 1.0), exact=exact)


def test_the_sign_of_zero_is_no_difference_but_not_the_same_bits():
    results = [Result((array(zero, 1.0),), "tensor") for zero in (0.0, -0.0)]
    for tolerance in CLASSES:
        assert compare(results[1], results[0], results[0], tolerance).problem is None
        assert not compare(results[1], results[0], results[0], tolerance).identical
        assert compare(results[1], results[1], results[0], tolerance).identical


@pytest.mark.parametrize("tolerance", [name for name, limit in CLASSES.items() if limit.relative])
def test_float64_must_be_nearer(tolerance):
    """An error that float32 may have by far."""
    off = 1.0 + 0.1 * CLASSES[tolerance].relative
    exact = array(1.0, dtype="float64")
    assert problem(array(off), array(1.0), tolerance) is None
    assert f"at [0]: {off}, torch 1.0" in problem(array(off, dtype="float64"), exact, tolerance)


def test_an_error_may_be_twice_torchs_own():
    exact, torchs = array(1.0, dtype="float64"), array(1.0 + 1e-4)
    assert problem(array(1.0 - 1.9e-4), torchs, exact=exact) is None
    assert "error 0.00021 exceeds 6e-07" in problem(array(1.0 - 2.1e-4), torchs, exact=exact)


def test_sums_are_judged_by_the_largest_element_and_roundings_each_by_itself():
    torchs, ours = array(1000.0, 1e-3), array(1000.0, 2e-3)
    assert problem(ours, torchs, "reduction") is None
    assert "at [1]" in problem(ours, torchs, "rounding")
    assert "at [1]" in problem(ours, torchs, "exact")


def test_empty_results_must_have_torchs_shape_and_dtype():
    for tolerance in CLASSES:
        assert problem(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), tolerance) is None
    assert problem(np.zeros((3, 0), np.float32), np.zeros((0, 3), np.float32)) == "output 0: shape (3, 0), torch (0, 3)"
    assert problem(np.zeros(0, np.float64), np.zeros(0, np.float32)) == "output 0: dtype float64, torch float32"


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [(array(1, 3, dtype="int64"), array(1, 2, dtype="int64")), (array(1, 1, dtype="bool"), array(1, 0, dtype="bool"))],
)
def test_whole_numbers_and_booleans_are_compared_one_by_one(ours, torchs):
    assert problem(ours, ours.copy(), "decomposition") is None
    assert problem(ours, torchs, "decomposition") == f"output 0: at [1]: {ours[1]}, torch {torchs[1]}"


def test_arrangement_plain_values_and_the_number_of_gradients_count():
    one = Result((array(1.0),), "tensor")
    pair = Result((array(1.0), array(1.0)), "(tensor, tensor)")
    assert compare(one, pair, pair, "exact").problem == "returns tensor, torch (tensor, tensor)"
    assert (
        compare(dataclasses.replace(one, gradients=(array(1.0),)), one, one, "exact").problem == "1 gradients, torch 0"
    )
    assert (
        compare(Result((3,), "int"), Result((4,), "int"), Result((4,), "int"), "exact").problem
        == "output 0: 3, torch 4"
    )
    second = dataclasses.replace(pair, gradients=(array(1.0), array(1.0)))
    wrong = dataclasses.replace(second, gradients=(array(1.0), array(1.1)))
    assert compare(wrong, second, second, "exact").problem.startswith("gradient 1: at [0]: 1.1, torch 1.0")


@needs_both
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_no_addition_to_a_repeated_place_is_lost(dtype):
    """MindSpore 2.10's tensor_scatter_elements adds from several threads without a lock: it lost some in one of ten of
    these calls."""
    from mindspore import Tensor

    from mindspore_impl.shims.indexing import index_add, scatter_add

    places, ones = Tensor(np.arange(65_536) % 7), Tensor(np.ones(65_536, dtype))
    wanted = np.bincount(places.asnumpy(), minlength=8)
    for add in (scatter_add, index_add):
        for _ in range(60):
            np.testing.assert_array_equal(add(Tensor(np.zeros(8, dtype)), 0, places, ones).asnumpy(), wanted)


@needs_both
def test_of_several_values_for_one_place_the_last_is_taken_every_time():
    from mindspore import Tensor

    from mindspore_impl.shims.indexing import scatter

    places, values = Tensor(np.arange(65_536) % 7), Tensor(np.arange(65_536, dtype=np.float32))
    for _ in range(60):
        found = scatter(Tensor(np.zeros(7, np.float32)), 0, places, values).asnumpy()
        np.testing.assert_array_equal(found, [65_534, 65_535, *range(65_529, 65_534)])


def test_no_shim_adds_with_the_operator_that_loses_values():
    root = Path(__file__).parents[2] / "mindspore_impl"
    calls = [call for path in root.rglob("*.py") for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    found = [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "tensor_scatter_elements"]
    assert len(found) == 1  # index_copy, which writes equal values to one place
