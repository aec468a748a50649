"""Every golden case computes what was recorded: floats within 1e-5 anywhere, every bit on a machine of the same kind.

``python -m tests.golden.record`` writes the record; see there for when that is right.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.golden.cases import BACKENDS, CASES, Case, select
from tests.golden.comparing import differences
from tests.golden.record import GOLDEN, measure

COUNT = 24  #: (3 + 3 + 2 + 2 combinations + resumed + two processes) x 2 backends
NEEDS = {"pytorch": pytest.mark.needs_pytorch, "mindspore": pytest.mark.needs_mindspore}
RECORD = json.loads(GOLDEN.read_text(encoding="utf-8"))
EXAMPLE = "gpt2-completion-lora-pytorch"


def _later(case: Case) -> bool:
    """MindSpore compiles each case for a while: every network with LoRA always, the other methods in the nightly run;
    two processes in MindSpore always, in PyTorch nightly."""
    if case.execution == "processes":
        return case.backend == "pytorch"
    return case.backend == "mindspore" and case.method != "lora"


def parameter(case: Case) -> Any:
    marks = [NEEDS[case.backend], pytest.mark.slow]
    marks += [pytest.mark.processes] if case.execution == "processes" else []
    marks += [pytest.mark.nightly] if _later(case) else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, request) -> Callable[[Case], dict[str, Any]]:
    """Record and fingerprint of a case; the cases of a backend that need one process share it."""

    @cache
    def together(backend: str) -> dict[str, Any]:
        every = select(backend, "whole", "resumed")
        chosen = [case for case in every if request.config.getoption("--nightly") or not _later(case)]
        return measure(chosen, tmp_path_factory.mktemp(backend))

    def of_case(case: Case) -> dict[str, Any]:
        if case.execution == "processes":
            return measure([case], tmp_path_factory.mktemp(case.name))
        return together(case.backend)

    return of_case


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_a_case_computes_what_was_recorded(case, measured):
    found = measured(case)
    result = found["cases"][case.name]
    assert "error" not in result, f"{case.name} failed:\n{result['error']}"
    same_machine = found["fingerprint"] == RECORD["fingerprint"]
    messages = differences(case.name, RECORD["cases"][case.name], result, exact=same_machine)
    assert not messages, f"{len(messages)} entries differ:\n" + "\n".join(messages)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param(name, marks=NEEDS[name]) for name in BACKENDS])
def test_bits_are_compared_on_this_machine(backend, measured):
    messages = differences(
        "fingerprint", RECORD["fingerprint"], measured(select(backend, "whole")[0])["fingerprint"], exact=True
    )
    if messages:
        pytest.skip("floats are compared within 1e-5 and no digests, since the machine differs: " + "; ".join(messages))


def test_the_record_holds_every_case():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) == COUNT
    assert set(RECORD["cases"]) == set(names)
    assert {(case.backend, case.execution) for case in CASES} == {
        (backend, execution) for backend in BACKENDS for execution in ("whole", "resumed", "processes")
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_recorded_case_has_trained(case):
    record = RECORD["cases"][case.name]
    steps, evaluations = (
        [event for event in record["events"] if event["event"] == kind] for kind in ("step", "evaluation")
    )
    assert [event["step"] for event in steps] == list(range(1, 8))
    assert [event["step"] for event in evaluations] == [0, 3, 6, 7]
    assert len({event["loss"] for event in steps}) == 7
    assert all(event["grad_norm"] > 0 for event in steps)
    assert len({event["loss"] for event in evaluations}) == 4
    assert record["summary"]["status"] == "finished"
    assert record["summary"]["test"]["loss"] > 0
    expected = {"checkpoint", "model" if case.method == "full" else "adapter"}
    assert set(record["files"]) == expected
    assert all(file["count"] > 0 for file in record["files"].values())


def test_no_two_different_experiments_were_recorded_with_the_same_arrays():
    digests = [
        RECORD["cases"][case.name]["files"]["checkpoint"]["arrays"] for case in CASES if case.execution == "whole"
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_run_was_recorded_with_the_bits_of_the_whole_run(backend):
    (resumed,) = select(backend, "resumed")
    whole = Case(resumed.network, resumed.method, resumed.backend)
    left, right = (copy.deepcopy(RECORD["cases"][case.name]) for case in (whole, resumed))
    for record in (left, right):
        del record["summary"]["name"]
    assert differences(resumed.name, left, right, exact=True) == []


@pytest.mark.parametrize(
    "place", [("events", 1, "loss"), ("events", 3, "grad_norm"), ("summary", "test", "perplexity")]
)
def test_a_changed_float_is_found_and_named(place):
    for exact, factor in ((False, 1 + 2e-5), (True, None)):
        changed = copy.deepcopy(RECORD["cases"][EXAMPLE])
        *outer, last = place
        inner = changed
        for key in outer:
            inner = inner[key]
        before = inner[last]
        inner[last] = math.nextafter(before, math.inf) if factor is None else before * factor
        assert differences("some", RECORD["cases"][EXAMPLE], changed, exact) == [
            f"some: {'.'.join(map(str, place))}: recorded {before!r}, found {inner[last]!r}"
        ]


def test_a_float_may_differ_by_rounding_between_machines_only():
    changed = copy.deepcopy(RECORD["cases"][EXAMPLE])
    changed["events"][1]["loss"] *= 1 + 5e-6
    changed["files"]["adapter"]["file"] = "0"
    assert differences("some", RECORD["cases"][EXAMPLE], changed, exact=False) == []
    assert len(differences("some", RECORD["cases"][EXAMPLE], changed, exact=True)) == 2


@pytest.mark.parametrize("exact", [False, True])
def test_missing_added_and_retyped_entries_are_found(exact):
    record = RECORD["cases"][EXAMPLE]
    changed = copy.deepcopy(record)
    del changed["files"]["adapter"]["count"]
    changed["summary"]["more"] = 1
    changed["summary"]["steps"] = 7.0
    changed["events"].pop()
    messages = differences("some", record, changed, exact)
    assert "some: files.adapter.count: recorded 8, found nothing" in messages
    assert "some: summary.more: recorded nothing, found 1" in messages
    assert "some: summary.steps: recorded 7, found 7.0" in messages
    assert sum("some: events.10" in message for message in messages) == 1
