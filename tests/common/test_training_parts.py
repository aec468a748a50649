"""The parts of the loop, each against its definition: schedules, evaluation steps, early stopping, the log,
interruption."""

import dataclasses
import json
import math
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import OptimizationConfig, TrainingConfig, load_config
from common.errors import InputError
from common.models import FAMILIES
from common.tasks import TASKS
from common.training import system
from common.training.interruption import Interrupted, Interruption
from common.training.loop import Trainer, tokens_of
from common.training.runlog import RunLog, durations, read_log
from common.training.schedule import evaluation_due, learning_rate, total_steps, warmup_steps
from common.training.stopping import EarlyStopping

CLASSES, LANGUAGE = TASKS.get("sequence-classification"), TASKS.get("language-modeling")

BASE = load_config("bert_sst2")


def optimization(**changes) -> OptimizationConfig:
    return dataclasses.replace(BASE.optimization, **changes)


def training(**changes) -> TrainingConfig:
    return dataclasses.replace(BASE.training, **changes)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "polynomial"])
def test_learning_rates_are_those_of_transformers(schedule, warmup):
    torch = pytest.importorskip("torch")
    from transformers import get_polynomial_decay_schedule_with_warmup, get_scheduler

    total, final, power = 23, (0.01 if schedule == "polynomial" else 0.0), 2.0
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    if schedule == "polynomial":
        scheduler = get_polynomial_decay_schedule_with_warmup(optimizer, warmup, total, lr_end=final, power=power)
    else:
        name = "constant_with_warmup" if schedule == "constant" else schedule
        scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    settings = optimization(schedule=schedule, learning_rate=0.5, final_learning_rate=final, power=power)
    for step in range(1, total + 1):
        assert learning_rate(step, total, warmup, settings, 10) == pytest.approx(
            scheduler.get_last_lr()[0], rel=1e-12, abs=1e-15
        )
        optimizer.step()
        scheduler.step()


@given(
    st.integers(1, 500),
    st.integers(0, 600),
    st.sampled_from(["linear", "cosine", "polynomial"]),
    st.floats(0, 1),
    st.floats(0.1, 4),
    st.data(),
)
def test_after_warm_up_rates_fall_from_the_peak_towards_the_final_one(total, warmup, schedule, final, power, data):
    settings = optimization(schedule=schedule, learning_rate=1.0, final_learning_rate=final, power=power)
    step = data.draw(st.integers(1, total))
    now, following = (learning_rate(s, total, warmup, settings, 10) for s in (step, step + 1))
    assert 0 <= now <= 1
    if step > warmup:
        assert final - 1e-12 <= following <= now + 1e-12
    if step == warmup + 1:
        assert now == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "maximum", "steps"),
    [(3, 217, None, 651), (0.5, 217, None, 109), (0.1, 30, None, 3), (3, 10, 7, 7), (1, 5, 9, 5)],
)
def test_total_steps(epochs, per_epoch, maximum, steps):
    assert total_steps(training(epochs=float(epochs), max_steps=maximum), per_epoch) == steps


@pytest.mark.parametrize(
    ("steps", "ratio", "expected"), [(None, None, 0), (5, None, 5), (None, 0.1, 66), (None, 0.0, 0), (None, 1.0, 651)]
)
def test_warm_up_is_given_in_steps_or_as_a_ratio_rounded_up(steps, ratio, expected):
    assert warmup_steps(optimization(warmup_steps=steps, warmup_ratio=ratio), 651) == expected


def test_a_ratio_above_0_is_a_step_of_warm_up_at_least():
    """Without one, inverse_sqrt has nothing to fall from."""
    assert warmup_steps(optimization(warmup_steps=None, warmup_ratio=1e-9), 651) == 1


def test_batches_that_differ_in_what_is_written_alone_are_of_two_shapes():
    task = TASKS.get("sequence-to-sequence")
    trainer = Trainer.__new__(Trainer)
    trainer.shapes, trainer.engine = set(), SimpleNamespace(compilations=SimpleNamespace(count=0))
    trainer.batches = SimpleNamespace(encoded=SimpleNamespace(schema=task.schema(FAMILIES.get("seq2seq-lstm"))))
    for written in (8, 12, 8):
        short, long = np.zeros((4, 8), np.int32), np.zeros((4, written), np.int32)
        names = trainer.batches.encoded.schema.names
        read = ("input_ids", "attention_mask")
        trainer._count_shapes([{name: short if name in read else long for name in names}])
    assert len(trainer.shapes) == 2
    assert {shape[-1] for shape in trainer.shapes} == {8, 12}


@given(st.floats(0.01, 3), st.integers(1, 300), st.integers(1, 900))
def test_evaluations_by_epochs_are_the_multiples_of_the_interval_and_start_and_end(every, per_epoch, total):
    settings, interval = training(evaluate_every_epochs=every, evaluate_every_steps=None), every * per_epoch
    due = {step for step in range(total + 1) if evaluation_due(step, total, settings, per_epoch)}
    multiples = {round(k * interval) for k in range(1, math.ceil(total / interval) + 1)}
    assert due == {0, total} | {step for step in multiples if 0 < step < total}


def test_half_an_odd_epoch_is_not_followed_by_a_second_evaluation_a_step_later():
    settings = training(evaluate_every_epochs=0.5, evaluate_every_steps=None)
    assert [step for step in range(435) if evaluation_due(step, 434, settings, 217)] == [0, 108, 217, 326, 434]


def test_a_tie_is_no_improvement():
    stopping = EarlyStopping(True, patience=2)
    assert [stopping.update(step, value) for step, value in enumerate([0.5, 0.6, 0.6, 0.6])] == [
        True,
        True,
        False,
        False,
    ]
    assert (stopping.best, stopping.best_step, stopping.exhausted) == (0.6, 1, True)


def test_the_direction_follows_the_metric_and_without_patience_training_never_stops():
    stopping = EarlyStopping(False, patience=None)
    assert [stopping.update(step, value) for step, value in enumerate([2.0, 1.0, 3.0, 3.0, 3.0])] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not stopping.exhausted


def test_early_stopping_continues_from_its_state():
    stopping, again = EarlyStopping(False, 2), EarlyStopping(False, 2)
    stopping.update(1, 1.0), stopping.update(2, 1.0)
    again.load_state(json.loads(json.dumps(stopping.state())))
    assert not again.exhausted
    assert not again.update(3, 1.0)
    assert again.exhausted


def test_the_log_keeps_the_lines_asked_for_and_refuses_what_json_lacks(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = RunLog(path)
    for step in range(4):
        log.write({"event": "step", "step": step})
    assert len(read_log(path, "step")) == 4  # on disk before it is closed
    log.close()
    log = RunLog(path, keep=2)
    log.write({"event": "evaluation", "step": 9})
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.write({"event": "step", "loss": float("nan")})
    log.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 9]


def test_durations_are_sums_and_a_step_takes_the_median():
    steps = [{"duration": 5.0, "seconds": 6.0}, {"duration": 1.0, "seconds": 7.0}, {"duration": 1.0, "seconds": 8.0}]
    seconds, median = durations(steps, [{"duration": 1.0, "seconds": 1.0}])
    assert (seconds, median) == ({"total": 8.0, "training": 7.0, "evaluation": 1.0}, 1.0)
    assert durations([], []) == ({"total": 0.0, "training": 0, "evaluation": 0}, None)


def test_rows_that_fill_up_a_batch_hold_no_tokens():
    mask = np.array([[1, 1, 1, 0], [1, 0, 0, 0]])
    assert tokens_of(CLASSES, {"attention_mask": mask, "labels": np.array([1, -100])}) == 3
    assert tokens_of(LANGUAGE, {"attention_mask": mask, "labels": np.array([[-100, 5, 6, -100], [-100] * 4])}) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_check_and_the_second_does_not(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) == before  # the next one has its usual effect
        with pytest.raises(Interrupted):
            interruption.check()
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_check_is_not_lost(number):
    came = []
    before = signal.signal(number, lambda number, frame: came.append(number))
    try:
        with Interruption() as interruption:
            interruption.check()
            os.kill(os.getpid(), number)
            assert came == []
        assert came == [number]
    finally:
        signal.signal(number, before)


def test_the_lines_of_a_log_that_a_checkpoint_counts_are_on_the_disk(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    log = RunLog(tmp_path / "metrics.jsonl")
    monkeypatch.setattr("os.fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    log.write({"event": "step"})
    assert synced == []
    assert (log.lines, log.lines) == (1, 1)
    assert synced == [str(tmp_path / "metrics.jsonl")]
    log.close()


@pytest.mark.parametrize("content", ["", '{"event": "step"}\n', '{"event": "step"}\n{"event'])
def test_a_log_that_was_cut_is_not_continued(tmp_path, content):
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(InputError, match="after line 2"):
        RunLog(tmp_path / "metrics.jsonl", keep=2)
    assert (tmp_path / "metrics.jsonl").read_text() == content


@pytest.mark.parametrize("line", ["{", "[]", '{"event": 3}', "{}", '{"event": "step", "loss": NaN}', "[" * 100_000])
def test_a_log_with_a_line_that_is_no_event_is_refused_by_its_number(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{{"event": "step"}}\n{line}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl, line 2"):
        read_log(tmp_path / "metrics.jsonl", "step")


@pytest.mark.parametrize(
    ("named", "wanted"), [("3", 3), (" 2,1", 2), ("", None), ("0", None), ("many", None), ("-1", None), ("1.5", None)]
)
def test_a_number_of_threads_that_is_none_is_ignored_as_openmp_does(named, wanted, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", named)
    assert system.asked_threads() == wanted
    assert system.hardware(None)["threads"] == wanted or wanted is None


@pytest.mark.needs_pytorch
def test_the_inverse_square_root_is_that_of_transformers_and_the_papers():
    """With d the width and w the warm-up, the paper's d^-.5 min(s^-.5, s w^-1.5) at s = step - 1."""
    torch = pytest.importorskip("torch")
    from transformers import get_inverse_sqrt_schedule

    width, warmup, total = 512, 7, 60
    peak = width**-0.5 * warmup**-0.5
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = get_inverse_sqrt_schedule(optimizer, warmup)
    settings = optimization(schedule="inverse_sqrt", learning_rate=peak)
    for step in range(1, total + 1):
        rate, done = learning_rate(step, total, warmup, settings, 10), step - 1
        assert rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12, abs=1e-15)
        paper = width**-0.5 * min(done**-0.5, done * warmup**-1.5) if done else 0.0
        assert rate == pytest.approx(paper, rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_the_inverse_of_epochs_falls_when_an_epoch_ends():
    settings = optimization(schedule="inverse_epochs", learning_rate=0.015, decay=0.05)
    rates = [learning_rate(step, 40, 0, settings, 10) for step in range(1, 41)]
    assert rates == [pytest.approx(0.015 / (1 + 0.05 * epoch)) for epoch in range(4) for _ in range(10)]


def test_halving_begins_after_an_epoch_and_goes_on_at_parts_of_epochs():
    """As in Sutskever et al. 2014: after five epochs, every half epoch; here with three steps an epoch too, where the
    middle of an epoch lies between two steps."""
    settings = optimization(schedule="halving", learning_rate=0.7, halve_after=5.0, halve_every=0.5)
    rates = [learning_rate(step, 75, 0, settings, 10) for step in range(1, 76)]
    assert rates[:50] == [0.7] * 50
    assert rates[50:] == [0.7 * 0.5**count for count in range(1, 6) for _ in range(5)]
    uneven = [learning_rate(step, 18, 0, settings, 3) for step in range(16, 19)]
    assert uneven == [0.35, 0.35, 0.175]


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "inverse_epochs", "halving"])
def test_warm_up_goes_before_every_schedule(schedule):
    settings = optimization(schedule=schedule, learning_rate=1.0, decay=0.1, halve_after=1.0, halve_every=1.0)
    assert [learning_rate(step, 20, 4, settings, 10) for step in range(1, 6)] == [0.0, 0.25, 0.5, 0.75, 1.0]
