"""The loss of a student: against NumPy, in both backends alike, and the task's own where nothing is learned."""

from __future__ import annotations

import dataclasses
from importlib import import_module

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.backend.batch import BatchSchema
from common.backend.distillation import Distillation
from tests.support import KINDS, ONE_LAYER, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import GRADIENT, STEP_LOSS

LENGTHS = (7, 3, 5, 6)
WAYS = {
    "soft": {"logits": "soft", "temperature": 3.0, "task_weight": 0.5},
    "kl-cos": {"logits": "kl", "hidden": "cos", "logits_weight": 2.0},
    "mse-every": {"logits": "mse", "hidden": "mse", "hidden_states": "all", "hidden_weight": 3.0},
    "hidden-alone": {"logits": "none", "hidden": "mse", "task_weight": 0.0},
}


def student(kind, way, **entries):
    wanted = Distillation("teacher", **WAYS[way])
    spec = tiny_spec(kind, **{**ONE_LAYER[KINDS[kind][0]], **entries})
    return dataclasses.replace(spec, schema=BatchSchema.of(spec.schema.fields, wanted.fields)), wanted


def batch_of(kind, wanted, seed=0):
    """The last row fills the batch up."""
    batch = dict(make_batch(kind, LENGTHS, seed=seed))
    batch["labels"] = np.array([*batch["labels"][:-1], IGNORE], np.int32)
    random = np.random.default_rng(seed)
    rows, width = batch["input_ids"].shape
    made = {
        "teacher_logits": random.standard_normal((rows, 3)).astype(np.float32),
        "teacher_hidden": random.standard_normal((rows, width, 2, 16)).astype(np.float32),  # of one layer, or all of it
    }
    return batch | {field.name: made[field.name] for field in wanted.fields}


def engine_of(backend, kind, way, method="full", **given):
    spec, wanted = student(kind, way)
    return build_engine(backend, spec, plan_for(spec, (), method), distillation=wanted, **given), wanted


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def expected(states, logits, batch, wanted):
    """Sum over the real rows, in float64."""
    real = batch["labels"] != IGNORE
    rows = np.flatnonzero(real)
    total = -wanted.task_weight * log_softmax(logits)[rows, batch["labels"][rows]].sum()
    if wanted.logits != "none":
        teacher, t = batch["teacher_logits"].astype(np.float64), wanted.temperature
        ours, theirs = log_softmax(logits / t), log_softmax(teacher / t)
        each = {
            "mse": ((logits - teacher) ** 2).sum(-1),
            "soft": -(np.exp(theirs) * ours).sum(-1) * t**2,
            "kl": (np.exp(theirs) * (theirs - ours)).sum(-1) * t**2,
        }[wanted.logits]
        total += wanted.logits_weight * each[rows].sum()
    if wanted.hidden != "none":
        kept = np.stack(states if wanted.hidden_states == "all" else [states[0], states[-1]], axis=2)
        theirs = batch["teacher_hidden"].astype(np.float64)
        if wanted.hidden == "mse":
            each = ((kept - theirs) ** 2).mean(-1)
        else:
            each = 1 - (kept * theirs).sum(-1) / np.linalg.norm(kept, axis=-1) / np.linalg.norm(theirs, axis=-1)
        for row in rows:
            length = batch["attention_mask"][row].sum()
            total += wanted.hidden_weight * each[row, :length].mean()
    return total


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["bert", "gpt2-classifier"])
def test_the_loss_is_that_of_numpy_and_evaluation_is_the_tasks_own(backend, kind, way):
    engine, wanted = engine_of(backend, kind, way)
    batch = batch_of(kind, wanted)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
    found = import_module(f"{backend.__name__}.parity").forward(engine.model, inputs)
    states = [found[name].astype(np.float64) for name in sorted(found) if name.startswith("hidden")]
    logits = found["logits"].astype(np.float64)
    scored = engine.eval_step(batch)
    own = -log_softmax(logits)[np.arange(3), batch["labels"][:3]].sum()
    assert scored.loss_sum == pytest.approx(own, rel=1e-5)
    assert scored.count == 3
    [(loss, _)] = engine.fetch([engine.train_step([batch], 0.0)])
    assert loss == pytest.approx(expected(states, logits, batch, wanted), rel=1e-5)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("bert", "kl-cos"),
        ("gpt2-classifier", "mse-every"),
        pytest.param("bert", "soft", marks=pytest.mark.nightly),
        pytest.param("bert", "hidden-alone", marks=pytest.mark.nightly),
    ],
)
def test_both_backends_agree_in_gradients_and_in_the_losses_of_50_steps(kind, way, compile_):
    gradients, losses = [], []
    for name in ("pytorch", "mindspore"):
        engine, wanted = engine_of(load(name), kind, way, compile=compile_ and name == "mindspore")
        batches = [[batch_of(kind, wanted, seed)] for seed in range(4)]
        gradients.append(engine.gradients(batches[0]))
        losses.append(engine.fetch([engine.train_step(batches[step % 4], 1e-3) for step in range(50)]))
    largest = max(np.abs(gradient).max() for gradient in gradients[0].values())
    for name, theirs in gradients[0].items():
        if np.abs(theirs).max() > 1e-3 * largest:
            assert_near(gradients[1][name], theirs, GRADIENT, what=name)
    theirs, ours = (np.array(found)[:, 0] for found in losses)
    assert np.abs(ours - theirs).max() <= STEP_LOSS * theirs.max()
    assert theirs[-4:].mean() < 0.9 * theirs[:4].mean()


def test_a_row_that_fills_a_batch_changes_nothing(backend):
    engine, wanted = engine_of(backend, "bert", "mse-every")
    batch = batch_of("bert", wanted)
    cut = {name: array[:3] for name, array in batch.items()}
    whole, part = (engine.gradients([one]) for one in (batch, cut))
    for name, gradient in part.items():
        if np.abs(gradient).max() > 1e-4:
            assert_near(whole[name], gradient, 1e-5, what=name)
