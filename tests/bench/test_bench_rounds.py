"""Turns, ratios, refusals and crashes, with workers that measure nothing."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from common.bench import settings, step
from common.bench.rounds import alternate, check_losses, ratios
from common.bench.workers import Worker
from common.errors import InputError, RunError

FAKE = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    {body}
    print(json.dumps(answer), flush=True)
"""


def fake(name: str, body: str) -> Worker:
    return Worker(name, 1, [sys.executable, "-c", FAKE.format(body=body)])


def test_subjects_take_turns():
    order = []

    def measured(name, value):
        return lambda: order.append(name) or value

    samples = alternate({"a": measured("a", 1.0), "b": measured("b", 2.0)}, 3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert samples == {"a": [1.0] * 3, "b": [2.0] * 3}


def test_ratios_are_those_of_neighbours():
    """A machine that becomes ten times slower changes no ratio of a round, though it would change that of the
    medians."""
    found = ratios({"ours": [1.0, 2.0, 30.0], "peer": [2.0, 2.0, 40.0]}, [("ours", "peer")])["ours/peer"]
    assert found["rounds"] == [0.5, 1.0, 0.75]
    assert (found["lower_quartile"], found["median"], found["upper_quartile"]) == (0.625, 0.75, 0.875)
    assert found["of_sums"] == 33 / 44


def test_pairs():
    assert step.pairs(["pytorch", "peft", "mindspore"]) == [
        ("pytorch", "peft"),
        ("mindspore", "peft"),
        ("mindspore", "pytorch"),
    ]
    low = "training.dtype=bf16"
    named = [f"pytorch:{low}", "pytorch", f"peft:{low}"]
    assert step.pairs(named) == [(f"pytorch:{low}", f"peft:{low}"), (f"pytorch:{low}", "pytorch")]
    assert step.pairs(["pytorch:training.plain=[lora]", "peft"]) == [("pytorch:training.plain=[lora]", "peft")]


@pytest.mark.parametrize("other", [0.7012, float("nan")])
def test_different_losses_are_not_compared(other):
    check_losses({"pytorch": 0.7, "peft": 0.7006})
    with pytest.raises(RunError, match=r"received pytorch 0.700000, peft .*different things"):
        check_losses({"pytorch": 0.7, "peft": other})


def test_a_worker_answers_until_it_is_left():
    with fake("peft", "answer = {'seconds': request['count'] * 2}") as worker:
        assert [worker.ask("steps", count=count)["seconds"] for count in (1, 3)] == [2, 6]
        process = worker._process
    assert process.returncode == 0


def test_a_crash_names_the_subject_and_what_it_said():
    with (
        fake("peft", "sys.exit('no memory left')") as worker,
        pytest.raises(RunError, match=r"(?s)Subject peft ended with exit code 1 .* steps.*no memory left"),
    ):
        worker.ask("steps", count=1)


@pytest.mark.parametrize(("code", "error"), [(1, RunError), (2, InputError)])
def test_what_a_worker_refuses_is_an_error_here(code, error):
    with (
        fake("peft", f"answer = {{'error': 'no such case', 'exit_code': {code}}}") as worker,
        pytest.raises(error, match="Subject peft: no such case"),
    ):
        worker.ask("build")


def test_workers_whose_losses_differ_are_never_measured(monkeypatch):
    losses = {"pytorch": 0.5, "peft": 0.6}
    monkeypatch.setattr(
        step,
        "begin",
        lambda name, _: fake(
            name, f"assert request['do'] in ('build', 'check'); answer = {{'check_loss': {losses[name]}, 'note': ''}}"
        ),
    )
    with pytest.raises(RunError, match="first losses agree"), ExitStack() as stack:
        step.start(stack, ["pytorch", "peft"], settings.Settings(1, 1), {"case": "minilm-16x32"})


def test_a_subject_is_named_once():
    with ExitStack() as stack, pytest.raises(InputError, match="measured once; received pytorch, pytorch"):
        step.start(stack, ["pytorch", "pytorch"], settings.Settings(1, 1), {})
