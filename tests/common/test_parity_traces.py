"""Traces and their comparison, without any framework: every planted defect is found and named, and nothing that was not
computed passes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.cli.main import main
from common.errors import InputError
from common.parity.cases import Case, Suite, array_hash
from common.parity.compare import compare
from common.parity.limits import LIMITS, Limit
from common.parity.metrics import measure, ulp_distance
from common.parity.page import comparison_page
from common.parity.recording import record
from common.parity.text import to_markdown, to_text
from common.parity.trace import read_trace, statistics
from common.studies.identity import code_fingerprint
from tests.mutations import EXAMPLES, mutated
from tests.support import refusal

NAMES = [f"hidden/{number:02d}" for number in range(4)] + ["logits", "loss", "gradient/a.lora_A", "gradient/a.lora_B"]
PRODUCER_FLAGS = {"deterministic": True}


class FakePackage:
    """As much of a backend as recording asks for."""

    class device:  # noqa: N801
        @staticmethod
        def versions():
            return {"numpy": "1"}

        @staticmethod
        def describe(device):
            return None


class FakeHost:
    backend, package, device, dtype, compile, plain = "fake", FakePackage, "cpu", "float32", None, False

    class parity:  # noqa: N801
        @staticmethod
        def flags():
            return PRODUCER_FLAGS

        @staticmethod
        def release():
            """There are no graphs."""


def values(noise: float = 0.0, seed: int = 0, dtype=np.float32) -> dict[str, np.ndarray]:
    """Results of one case, off by ``noise`` in a random direction."""
    exact, random = np.random.default_rng(7), np.random.default_rng(seed)
    found = {}
    for name in NAMES:
        shape = () if name == "loss" else (4, 6)
        array = exact.normal(size=shape) + 2.0
        found[name] = np.asarray(array + noise * random.normal(size=shape)).astype(dtype)
    return found


def make(path, results, kind="model", inputs=None, name="models/fake", draws=0, dtype="float32", **options):
    """Record a suite of one case per entry of ``results`` (or of one case)."""
    results = (
        results
        if isinstance(results, dict) and all(isinstance(v, dict) or callable(v) for v in results.values())
        else {name: results}
    )

    def compute(result):
        return lambda host, arrays: (result() if callable(result) else result, {})

    given = {"x": np.arange(3, dtype=np.float32)} if inputs is None else inputs
    cases = tuple(Case(case, kind, lambda: given, compute(result)) for case, result in results.items())
    host = FakeHost()
    host.dtype = dtype
    record(Suite("fake", cases, {"draws": draws} if draws else {}), host, path, **options)
    return read_trace(path)


@pytest.fixture
def traces(tmp_path):
    """Baseline and test, both as near to the reference as float32 allows."""

    def build(change=lambda arrays: arrays, kind="model"):
        return (
            make(tmp_path / "baseline", values(1e-7, 1), kind),
            make(tmp_path / "test", change(values(1e-7, 2)), kind),
            make(tmp_path / "reference", values(dtype=np.float64), kind, dtype="float64"),
        )

    return build


def changed(name, function):
    return lambda arrays: arrays | {name: function(arrays[name].copy())}


def put(array, index, value):
    array[index] = value
    return array


def swap_elements(array):
    array[0, 0], array[3, 5] = array[3, 5], array[0, 0]
    return array


DEFECTS = {
    "one element perturbed": (changed("hidden/02", lambda a: put(a, (1, 2), a[1, 2] + 1e-3)), "hidden/02", "exceeds"),
    "two elements exchanged": (changed("logits", swap_elements), "logits", "exceeds"),
    "a sign flipped": (changed("logits", lambda a: put(a, (0, 1), -a[0, 1])), "logits", "exceeds"),
    "a NaN": (
        changed("hidden/01", lambda a: put(a, (2, 3), np.nan)),
        "hidden/01",
        "NaN or infinity on one side at [2, 3]",
    ),
    "an infinity": (changed("hidden/01", lambda a: put(a, (2, 3), np.inf)), "hidden/01", "NaN or infinity on one side"),
    "a gradient scaled": (
        changed("gradient/a.lora_B", lambda a: a * np.float32(1.001)),
        "gradient/a.lora_B",
        "exceeds",
    ),
    "two layers swapped": (
        lambda a: a | {"hidden/01": a["hidden/02"], "hidden/02": a["hidden/01"]},
        "hidden/01",
        "exceeds",
    ),
    "another dtype": (changed("logits", lambda a: a.astype(np.float64)), "logits", "dtype float64, baseline float32"),
    "another shape": (changed("logits", lambda a: a[:, :5]), "logits", "shape [4, 5], baseline [4, 6]"),
    "a key dropped": (
        lambda a: {name: array for name, array in a.items() if name != "gradient/a.lora_A"},
        "gradient/a.lora_A",
        "missing in the test",
    ),
    "a key added": (lambda a: a | {"hidden/99": a["logits"]}, "hidden/99", "missing in the baseline"),
}


def test_two_computations_as_near_to_the_reference_pass(traces):
    found = compare(*traces())
    assert (found.counts, found.exit_code) == ({"pass": 1, "rounding": 0, "not comparable": 0, "fail": 0}, 0)
    assert len(found.cases[0].tensors) == len(NAMES)


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_planted_defect_fails_and_is_named(traces, defect):
    change, tensor, message = DEFECTS[defect]
    found = compare(*traces(change))
    assert found.exit_code == 1
    assert tensor in found.first_failure.message
    assert message in found.first_failure.message
    assert tensor in to_text(found)
    assert tensor in to_markdown(found)


def test_a_nan_on_both_sides_at_the_same_place_does_not_hide_what_is_beside_it(tmp_path):
    def with_nan(noise, seed, dtype=np.float32):
        return changed("logits", lambda a: put(a, (0, 0), np.nan))(values(noise, seed, dtype))

    pair = (
        make(tmp_path / "a", with_nan(1e-7, 1)),
        make(tmp_path / "b", with_nan(1e-7, 2)),
        make(tmp_path / "r", with_nan(0.0, 0, np.float64), dtype="float64"),
    )
    assert compare(*pair).exit_code == 0
    worse = changed("logits", lambda a: put(a, (1, 1), a[1, 1] + 1e-3))(with_nan(1e-7, 2))
    assert compare(pair[0], make(tmp_path / "c", worse), pair[2]).exit_code == 1


@pytest.mark.parametrize(("kind", "name"), [("model", "loss"), ("training", "loss"), ("layer", "output/0")])
@pytest.mark.parametrize("stats_only", [False, True])
def test_a_result_without_a_finite_number_on_either_side_proves_nothing(tmp_path, kind, name, stats_only):
    """Two trainings that diverged agree in nothing; a single operator may owe a NaN."""

    def pair(kind, name, folder):
        lost = {name: np.full(3, np.nan, np.float32)}
        return [make(tmp_path / folder / side, lost, kind, stats_only=stats_only) for side in "ab"]

    found = compare(*pair(kind, name, "network"))
    assert (found.cases[0].verdict, found.exit_code) == ("not comparable", 2)
    assert f"{name}: neither side holds a finite number" in found.cases[0].message
    assert compare(*pair("op rounding", "output/0", "operator")).exit_code == 0


def test_a_reference_is_in_float64_and_whole(traces):
    """One of them as the reference of both would have no error, and pass whatever it holds."""
    baseline, test, reference = traces(DEFECTS["a sign flipped"][0])
    assert compare(baseline, test, reference).exit_code == 1
    for other in (test, baseline):
        with pytest.raises(InputError, match=r"--reference must be a trace in float64; .*it is float32"):
            compare(baseline, test, other)
    small = make(reference.path.with_name("small"), values(dtype=np.float64), stats_only=True, dtype="float64")
    with pytest.raises(InputError, match="--reference must hold tensors"):
        compare(baseline, test, small)
    lacking = make(reference.path.with_name("lacking"), {"models/other": values(dtype=np.float64)}, dtype="float64")
    with pytest.raises(InputError, match="different ones"):
        compare(baseline, test, lacking)


def test_a_trace_without_its_tensors_is_refused_as_a_folder(traces):
    baseline, test, _ = traces()
    (test.path / "tensors.safetensors").unlink()
    with pytest.raises(InputError, match=r"tensors\.safetensors is missing.*manifest\.json alone"):
        read_trace(test.path)
    assert compare(baseline, read_trace(test.path / "manifest.json")).counts["rounding"] == 1


@pytest.mark.needs_pytorch
def test_a_trace_is_recorded_over_an_earlier_trace_alone(tmp_path, capsys):
    command = ["trace", "record", "ops", "--backend", "pytorch", "--only", "torch.tanh", "-o"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text('{"name": "an application of mine"}')
    (tmp_path / "file").write_text("mine")
    for place in (other, tmp_path / "file"):
        assert main([*command, str(place)]) == 2
        assert "A trace gets a folder of its own" in capsys.readouterr().err
    assert (other / "manifest.json").read_text() == '{"name": "an application of mine"}'
    assert main([*command, str(tmp_path / "mine")]) == 0
    assert main([*command, str(tmp_path / "mine")]) == 0


@pytest.mark.needs_pytorch
def test_a_recording_that_was_killed_while_it_wrote_is_recorded_again(tmp_path):
    command = ["trace", "record", "ops", "--backend", "pytorch", "--only", "torch.tanh", "-o", str(tmp_path / "trace")]
    (tmp_path / "trace" / "parts").mkdir(parents=True)
    for folder in (tmp_path / "trace", tmp_path / "trace" / "parts"):
        (folder / f".twinlora-{'0' * 16}.tmp").write_bytes(b"half of")
    assert main(command) == 0
    read_trace(tmp_path / "trace")


def test_an_error_that_the_baseline_has_too_is_ill_conditioned_and_without_a_reference_a_failure(tmp_path):
    baseline, test = make(tmp_path / "a", values(1e-4, 1)), make(tmp_path / "b", values(1e-4, 2))
    reference = make(tmp_path / "r", values(dtype=np.float64), dtype="float64")
    assert compare(baseline, test, reference).exit_code == 0
    direct = compare(baseline, test)
    assert direct.exit_code == 1
    assert "Record the suite in float64" in to_text(direct)


def moved_by(path, error, count=3):
    """Draws of the reference of `values`, the last of which is off by ``error``."""
    results = {f"models/fake#{k}": values(error if k == count - 1 else 1e-7, k + 5, np.float64) for k in range(count)}
    return make(path, results, draws=count, dtype="float64")


def test_an_error_that_rounding_at_random_makes_too_is_ill_conditioned_and_a_larger_one_a_failure(tmp_path):
    baseline, test = make(tmp_path / "a", values(1e-7, 1)), make(tmp_path / "b", values(1e-3, 2))
    reference = make(tmp_path / "r", values(dtype=np.float64), dtype="float64")
    assert compare(baseline, test, reference).exit_code == 1
    found = compare(baseline, test, reference, moved_by(tmp_path / "d", 1e-2))
    assert (found.exit_code, found.counts["rounding"]) == (0, 1)
    assert "rounding at random moves float64 by up to" in to_text(found)
    assert "in 3 draws" in to_text(found)
    smaller = compare(baseline, test, reference, moved_by(tmp_path / "s", 1e-5))
    assert smaller.exit_code == 1
    assert "rounding at random moves float64 by" in smaller.first_failure.message


def test_draws_of_other_inputs_of_float32_or_without_a_reference_are_refused(tmp_path):
    traces = [make(tmp_path / name, values(1e-7, 1)) for name in "ab"]
    reference = make(tmp_path / "r", values(dtype=np.float64), dtype="float64")
    draws = moved_by(tmp_path / "d", 1e-3)
    with pytest.raises(InputError, match="came without one"):
        compare(*traces, None, draws)
    with pytest.raises(InputError, match="holds no draws"):
        compare(*traces, reference, reference)
    inputs = {"x": np.ones(3, np.float32)}
    results = {"models/fake#0": values(1e-7, 1, np.float64)}
    with pytest.raises(InputError, match="computed from the same inputs"):
        compare(*traces, reference, make(tmp_path / "o", results, inputs=inputs, draws=1, dtype="float64"))
    with pytest.raises(InputError, match="must hold tensors"):
        compare(*traces, reference, make(tmp_path / "s", results, draws=1, dtype="float64", stats_only=True))
    other = Case("models/fake#0", "model", lambda: {"x": np.arange(3, dtype=np.float32)}, lambda *_: ({}, {}), "faster")
    host = FakeHost()
    host.dtype = "float64"
    record(Suite("fake", (other,), {"draws": 1}), host, tmp_path / "f")
    with pytest.raises(InputError, match="models/fake is defined otherwise"):
        compare(*traces, reference, read_trace(tmp_path / "f"))


def test_a_draw_that_is_not_finite_where_the_reference_is_explains_nothing(tmp_path):
    baseline, test = make(tmp_path / "a", values(1e-7, 1)), make(tmp_path / "b", values(1e-3, 2))
    reference = make(tmp_path / "r", values(dtype=np.float64), dtype="float64")
    broken = {name: np.full_like(array, np.nan) for name, array in values(dtype=np.float64).items()}
    draws = make(tmp_path / "d", {"models/fake#0": broken}, draws=1, dtype="float64")
    assert compare(baseline, test, reference, draws).exit_code == 1


def test_a_larger_error_within_the_cap_is_a_rounding_that_says_why(traces):
    found = compare(
        *traces(
            lambda arrays: (
                arrays | {name: array for name, array in values(6e-6, 5).items() if name.startswith("hidden/")}
            )
        )
    )
    assert found.counts["rounding"] == 1
    assert LIMITS["model", "hidden"].why in to_text(found)
    assert found.exit_code == 0


@pytest.mark.parametrize("dropped", [0, 1])
def test_a_missing_case_is_not_comparable_and_never_a_pass(tmp_path, dropped):
    folders = [
        make(tmp_path / side, {"models/one": values(1e-7, seed), "models/two": values(1e-7, seed)})
        for seed, side in enumerate(("a", "b"))
    ]
    manifest = json.loads((folders[dropped].path / "manifest.json").read_text())
    manifest["cases"] = manifest["cases"][:1]
    (folders[dropped].path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="missing or changed"):
        read_trace(folders[dropped].path)
    folders[dropped] = read_trace(folders[dropped].path / "manifest.json")
    found = compare(*folders)
    assert [case.verdict for case in found.cases][1] == "not comparable"
    assert "missing in the" in found.cases[1].message
    assert found.exit_code == 2


def test_a_case_that_raised_is_an_error_and_not_a_pass(tmp_path):
    def fails():
        raise ValueError("no such kernel")

    found = compare(
        make(tmp_path / "a", {"ops/x/00": values(1e-7, 1)}, "layer"), make(tmp_path / "b", {"ops/x/00": fails}, "layer")
    )
    assert (found.cases[0].verdict, found.exit_code) == ("not comparable", 2)
    assert "no such kernel" in to_text(found)


def counted(count, stop=None, changed=()):
    """Cases that are counted as they are computed; ``stop`` raises KeyboardInterrupt, ``changed`` have other inputs."""
    computed = []

    def case(number):
        def compute(host, arrays):
            if number == stop:
                raise KeyboardInterrupt
            computed.append(number)
            return {"loss": np.float32(number) + arrays["x"]}, {}

        inputs = {"x": np.arange(3, dtype=np.float32) + (number in changed)}
        return Case(f"models/{number}", "model", lambda: inputs, compute)

    return Suite("fake", tuple(case(number) for number in range(count))), computed


def test_a_recording_that_was_stopped_goes_on_and_is_the_uninterrupted_one(tmp_path):
    suite, _ = counted(6)
    record(suite, FakeHost(), tmp_path / "whole", code="a")
    stopped, _ = counted(6, stop=4)
    with pytest.raises(KeyboardInterrupt):
        record(stopped, FakeHost(), tmp_path / "again", code="a")
    again, computed = counted(6)
    record(again, FakeHost(), tmp_path / "again", code="a")
    assert computed == [4, 5]
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"manifest.json", "tensors.safetensors"}
    for name in ("manifest.json", "tensors.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_recording_of_figures_alone_goes_on_and_an_error_is_tried_again(tmp_path):
    """Memory that was short, for one."""

    def lacking(host, arrays):
        raise MemoryError("of another process")

    stopped, _ = counted(6, stop=4)
    cases = (stopped.cases[0], dataclasses.replace(stopped.cases[1], compute=lacking), *stopped.cases[2:])
    with pytest.raises(KeyboardInterrupt):
        record(Suite("fake", cases), FakeHost(), tmp_path, stats_only=True, code="a")
    again, computed = counted(6)
    entries = record(again, FakeHost(), tmp_path, stats_only=True, code="a")
    assert computed == [1, 4, 5]
    assert {entry["status"] for entry in entries} == {"ok"}
    assert {path.name for path in tmp_path.iterdir()} == {"manifest.json"}


@pytest.mark.needs_pytorch
def test_what_is_kept_is_of_the_code_of_suites_too(tmp_path, monkeypatch):
    """Which decides no run of a study, but what a case computes."""
    codes = []
    monkeypatch.setattr("common.parity.recording.record", lambda *given: codes.append(given[-1]) or [])
    added = tmp_path / "own" / "common" / "parity" / "suites" / "mine.py"
    added.parent.mkdir(parents=True)
    monkeypatch.setenv("TWINLORA_PLUGINS", str(tmp_path / "own"))
    for text in ("CASES = 1\n", "CASES = 2\n", "CASES = 1\n"):
        added.write_text(text)
        code_fingerprint.cache_clear()
        main(["trace", "record", "ops", "--backend", "pytorch", "--only", "torch.tanh", "-o", str(tmp_path / "out")])
    code_fingerprint.cache_clear()
    assert codes[0] == codes[2] != codes[1]


@pytest.mark.parametrize(
    ("code", "changed", "damage", "expected"),
    [
        ("b", (), None, [0, 1, 2, 3, 4, 5]),
        ("a", (1, 3), None, [1, 3, 4, 5]),
        ("a", (), "000001.safetensors", [0, 1, 2, 3, 4, 5]),
        ("a", (), "000001.json", [0, 1, 2, 3, 4, 5]),
    ],
    ids=["other_code", "other_inputs", "damaged_tensors", "damaged_list"],
)
def test_what_was_kept_of_other_code_or_inputs_or_is_damaged_is_computed_again(
    tmp_path, code, changed, damage, expected
):
    stopped, _ = counted(6, stop=4)
    with pytest.raises(KeyboardInterrupt):
        record(stopped, FakeHost(), tmp_path, code="a")
    if damage:
        file = tmp_path / "parts" / damage
        file.write_bytes(file.read_bytes()[:-9])
    again, computed = counted(6, changed=changed)
    record(again, FakeHost(), tmp_path, code=code)
    assert computed == expected
    found = read_trace(tmp_path)
    assert [case["id"] for case in found.manifest["cases"]] == [f"models/{number}" for number in range(6)]


def test_a_case_that_cannot_be_built_is_an_error_of_its_own_unless_it_is_the_first(tmp_path):
    def refused():
        raise InputError("no such layers")

    suite, computed = counted(3)
    broken = dataclasses.replace(suite.cases[1], inputs=refused)
    with pytest.raises(InputError, match="no such layers"):
        record(Suite("fake", (broken, *suite.cases)), FakeHost(), tmp_path / "first")
    entries = record(Suite("fake", (suite.cases[0], broken, suite.cases[2])), FakeHost(), tmp_path / "later")
    assert [entry["status"] for entry in entries] == ["ok", "error", "ok"]
    assert "no such layers" in entries[1]["message"]
    assert computed == [0, 2]


def test_other_inputs_are_refused(tmp_path):
    first = make(tmp_path / "a", values())
    second = make(tmp_path / "b", values(), inputs={"x": np.arange(3, dtype=np.float32) + 1})
    with pytest.raises(InputError, match="another 'x'"):
        compare(first, second)


def test_other_suites_are_refused(tmp_path):
    with pytest.raises(InputError, match="different ones"):
        compare(make(tmp_path / "a", values()), make(tmp_path / "b", values(), name="models/other"))


def test_figures_alone_find_gross_differences_and_equal_bits(tmp_path):
    full, small = make(tmp_path / "a", values(1e-7, 1)), make(tmp_path / "b", values(1e-7, 2), stats_only=True)
    assert not (small.path / "tensors.safetensors").exists()
    assert compare(full, small).counts["rounding"] == 1
    assert compare(full, make(tmp_path / "same", values(1e-7, 1), stats_only=True)).counts["pass"] == 1
    wrong = make(tmp_path / "c", DEFECTS["a gradient scaled"][0](values(1e-7, 2)), stats_only=True)
    assert "gradient/a.lora_B" in compare(full, wrong).first_failure.message


def test_whole_numbers_and_truth_values_must_be_equal(tmp_path):
    def result(flag):
        return {"output/0": np.array([1, 2, 3]), "output/1": np.array([True, flag])}

    same = compare(make(tmp_path / "a", result(True), "op rounding"), make(tmp_path / "b", result(True), "op rounding"))
    other = compare(
        make(tmp_path / "a", result(True), "op rounding"), make(tmp_path / "b", result(False), "op rounding")
    )
    assert (same.exit_code, other.exit_code) == (0, 1)
    assert "output/1: 1 of 2 elements are not equal; the first at [1]" in other.first_failure.message


def test_a_gradient_that_is_zero_in_exact_arithmetic_is_judged_by_the_size_of_the_others(tmp_path):
    def result(noise, seed):
        tiny = np.random.default_rng(seed).normal(size=(4, 6)) * noise
        return values(1e-7, seed) | {"gradient/a.lora_A": tiny.astype(np.float32)}

    exact = values(dtype=np.float64) | {"gradient/a.lora_A": np.zeros((4, 6))}
    reference = make(tmp_path / "r", exact, dtype="float64")
    assert (
        compare(make(tmp_path / "a", result(1e-10, 1)), make(tmp_path / "b", result(1e-10, 2)), reference).exit_code
        == 0
    )
    assert (
        compare(make(tmp_path / "a", result(1e-10, 1)), make(tmp_path / "c", result(1e-3, 2)), reference).exit_code == 1
    )


def test_a_gradient_that_cancels_is_judged_by_the_terms_which_the_references_own_rounding_gives_away(tmp_path):
    """Twelve terms of size one and their opposites: each precision leaves its own rounding of them, and a luckier
    baseline condemns nobody."""

    def result(size, dtype=np.float32, seed=0):
        left = np.random.default_rng(seed).normal(size=(4, 6)) * size
        return values(1e-7 if dtype == np.float32 else 0.0, seed, dtype) | {"gradient/a.lora_A": left.astype(dtype)}

    reference = make(tmp_path / "r", result(1e-17, np.float64), dtype="float64")
    baseline = make(tmp_path / "a", result(1e-9, seed=1))
    assert compare(baseline, make(tmp_path / "b", result(4e-9, seed=2)), reference).exit_code == 0
    wrong = compare(baseline, make(tmp_path / "c", result(1e-5, seed=2)), reference)
    assert "gradient/a.lora_A" in wrong.first_failure.message
    found = make(
        tmp_path / "d", result(1e-14, np.float64), dtype="float64"
    )  # more than rounding: a gradient in its own right
    assert compare(baseline, make(tmp_path / "e", result(1e-7, seed=2)), found).exit_code == 1


def test_a_trace_whose_tensors_were_changed_is_refused(tmp_path):
    from common.files import ANY, load_arrays, save_arrays

    trace = make(tmp_path / "a", values())
    arrays, _ = load_arrays(trace.path / "tensors.safetensors", ANY)
    arrays["models/fake::logits"][0, 0] += 1
    save_arrays(trace.path / "tensors.safetensors", arrays)
    with pytest.raises(InputError, match="missing or changed"):
        read_trace(trace.path)


def test_the_page_shows_the_failing_element_with_all_three_values(traces):
    trio = traces(DEFECTS["one element perturbed"][0])
    html = comparison_page(compare(*trio), *trio)
    expected = trio[1].tensor("models/fake", "hidden/02")[1, 2]
    for text in ("First failure", "hidden/02", "[1, 2]", f"{expected:.9g}", "Error growth", "Heat map"):
        assert text in html
    assert "http" not in html.replace("http://www.w3.org", "")


def test_the_command_compares_in_a_process_that_can_import_no_framework(tmp_path, traces):
    baseline, test, reference = traces(DEFECTS["a NaN"][0])
    program = (
        "import sys\nfor name in ('torch', 'mindspore', 'transformers', 'datasets'): sys.modules[name] = None\n"
        "from common.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    files = [tmp_path / name for name in ("r.html", "r.md", "r.json")]
    outputs = [str(x) for pair in zip(("--html", "--markdown", "--json"), files, strict=True) for x in pair]
    command = [
        sys.executable,
        "-c",
        program,
        "trace",
        "compare",
        str(baseline.path),
        str(test.path),
        "--reference",
        str(reference.path),
        *outputs,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "hidden/01: NaN or infinity on one side at [2, 3]" in done.stdout
    assert json.loads(files[2].read_text())["counts"]["fail"] == 1
    assert all(file.stat().st_size > 200 for file in files)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trace", "compare", "nowhere", "nowhere"], "A trace is a folder with a manifest.json"),
        (["trace", "record", "opps", "--backend", "pytorch", "-o", "out"], "Nearest: ops"),
        (
            ["trace", "record", "layers", "--backend", "pytorch", "--dtype", "float16", "-o", "out"],
            "--dtype must be one of",
        ),
        (["trace", "record", "layers", "--backend", "pytorch", "--only", "nothing", "-o", "out"], "fits no case"),
        (["trace", "record", "models", "--backend", "pytorch", "--draws", "3", "-o", "out"], "--dtype float64"),
        (["parity", "models", "--draws", "-1", "-o", "out"], "0 or more"),
        (["trace", "record", "layers", "--backend", "pytorch", "--set", "a=b", "-o", "out"], "none was given"),
        (["trace", "record", "recorded", "--backend", "pytorch", "-o", "out"], "twinlora map record"),
        (
            ["trace", "record", "layers", "bert_sst2", "--backend", "pytorch", "-o", "out"],
            "CONFIG is read by the suites models, training; layers does not read it",
        ),
        (
            ["trace", "record", "models", "--steps", "9", "--backend", "pytorch", "-o", "out"],
            "--steps is read by the suite training; models does not read it",
        ),
        (
            ["trace", "record", "ops", "--log", "calls.json", "--backend", "pytorch", "-o", "out"],
            "--log is read by the suite recorded; ops does not read it",
        ),
        (
            ["trace", "record", "training", "--steps", "0", "--backend", "pytorch", "-o", "out"],
            "--steps must be at least 1; received 0",
        ),
    ],
)
@pytest.mark.needs_pytorch
def test_wrong_use_is_told_with_exit_code_2_and_writes_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@given(st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32), st.integers(0, 50))
def test_ulp_distance_counts_representable_values(start, count):
    end = np.float32(start)
    for _ in range(count):
        end = np.nextafter(end, np.float32(np.inf))
    assert ulp_distance(np.array([start], np.float32), np.array([end], np.float32))[0] == count


def test_zero_and_minus_zero_are_no_distance_apart():
    assert ulp_distance(np.array([0.0], np.float32), np.array([-0.0], np.float32))[0] == 0


def test_metrics_of_a_known_difference():
    reference = np.array([1.0, -2.0, 4.0, np.nan])
    found = measure(np.array([1.5, -2.0, 4.0, np.nan]), reference, Limit(1.0, "", "tensor"))
    assert (found.max_abs, found.max_rel, found.position) == (0.5, 0.125, (0,))
    assert found.rms_rel == pytest.approx(0.5 / np.sqrt(21.0))
    assert (found.close, found.bias) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_statistics_are_finite_whatever_the_array_holds():
    found = statistics(np.array([np.nan, np.inf, 1e308, 1e308]))
    assert (found["nan"], found["inf"], found["max"], found["l2"]) == (1, 1, 1e308, None)
    assert statistics(np.array([]))["min"] is None


def test_hashes_tell_dtype_and_shape_apart():
    arrays = [
        np.zeros(4, np.float32),
        np.zeros(4, np.int32),
        np.zeros((2, 2), np.float32),
        np.zeros(4, np.float32) * -1,
    ]
    assert len({array_hash(array) for array in arrays}) == 4


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    results = [{"models/one": values(1e-7, seed), "training/two": values(1e-6, seed)} for seed in (0, 1)]
    return [make(folder / name, found) for name, found in zip("ab", results, strict=True)]


def read_and_compare(path, other):
    trace = read_trace(path)
    found = compare(other, trace)
    to_text(found), to_markdown(found), json.dumps(found.to_json()), comparison_page(found, other, trace, None)


@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), whole=st.booleans())
def test_a_mutated_manifest_is_compared_or_refused(tmp_path, pair, data, whole):
    manifest = data.draw(mutated(pair[1].manifest))
    for name in ("manifest.json", "tensors.safetensors"):
        (tmp_path / name).write_bytes((pair[1].path / name).read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    message = refusal(lambda: read_and_compare(tmp_path if whole else tmp_path / "manifest.json", pair[0]))
    assert message is None or message.strip()


@pytest.mark.parametrize(
    ("name", "figures", "verdict", "part"),
    [
        ("logits", {"mean": None}, "fail", "mean is known on one side only"),
        ("logits", {"min": None, "max": None}, "fail", "min is known on one side only"),
        ("logits", {"min": 0, "max": 0, "mean": 0, "l2": 0}, "fail", "by figures alone"),
        ("hidden/01", {}, "rounding", "by figures alone"),
    ],
)
def test_figures_that_are_known_on_one_side_only_fail(tmp_path, name, figures, verdict, part):
    """A mean whose sum overflows is null while the least and the largest value are not."""
    traces = [make(tmp_path / side, values(1e-7, seed), stats_only=True) for seed, side in enumerate("ab")]
    manifest = json.loads((traces[0].path / "manifest.json").read_text())
    next(tensor for tensor in manifest["cases"][0]["tensors"] if tensor["name"] == name)["stats"].update(figures)
    (traces[0].path / "manifest.json").write_text(json.dumps(manifest))
    found = compare(traces[1], read_trace(traces[0].path))
    tensor = next(tensor for tensor in found.cases[0].tensors if tensor.name == name)
    assert (tensor.verdict, part in tensor.message) == (verdict, True)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda manifest: manifest.pop("producer"), "lacks 'producer'"),
        (lambda manifest: manifest["cases"][0].pop("inputs"), r"cases\[0\] lacks 'inputs'"),
        (lambda manifest: manifest["cases"][0]["tensors"][0].update(shape=[4, 7]), "missing or changed"),
        (lambda manifest: manifest["cases"].append(manifest["cases"][0]), "stands there again"),
    ],
)
def test_a_manifest_of_another_form_is_refused_with_the_place(tmp_path, pair, change, part):
    manifest = json.loads((pair[0].path / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "tensors.safetensors").write_bytes((pair[0].path / "tensors.safetensors").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=part):
        read_trace(tmp_path)


def test_float64_numbers_whose_squares_overflow_are_measured():
    """References in float64 hold such: a NaN among the metrics would end the comparison when its report is written."""
    exact = np.array([1e200, -3e180, 0.0])
    found = measure(exact * (1 + 1e-9), exact, LIMITS["layer", "output"])
    assert found.rms_rel == pytest.approx(1e-9, rel=1e-6)
    assert found.cosine == pytest.approx(1.0)
    assert measure(np.zeros(3), exact, LIMITS["layer", "output"]).cosine == 0.0
    assert measure(np.zeros(3), np.zeros(3), LIMITS["layer", "output"]).cosine == 1.0
