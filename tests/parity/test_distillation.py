"""The loss of a student: against NumPy, in both backends alike, and the task's own where nothing is learned."""

from __future__ import annotations

import dataclasses
from importlib import import_module

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.backend.batch import BatchSchema
from common.backend.distillation import Distillation
from common.edits import Normal, ParameterSpec
from tests.support import KINDS, ONE_LAYER, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import GRADIENT, STEP_LOSS

LENGTHS = (7, 3, 5, 6)
WAYS = {
    "soft": {"logits": "soft", "temperature": 3.0, "task_weight": 0.5},
    "kl-cos": {"logits": "kl", "hidden": "cos", "logits_weight": 2.0},
    "mse-every": {"logits": "mse", "hidden": "mse", "hidden_states": "all", "hidden_weight": 3.0},
    "hidden-alone": {"logits": "none", "hidden": "mse", "task_weight": 0.0},
    "attention": {"logits": "none", "attention": "mse", "attention_weight": 4.0},
    "attention-cos": {"attention": "cos", "attention_layers": "all", "hidden": "cos"},
}
PLAIN = [way for way in WAYS if not way.startswith("attention")]


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
        "teacher_attention": random.random((rows, width, 1, 2, width + 3)).astype(
            np.float32
        ),  # of more keys than there are
    }
    return batch | {field.name: made[field.name] for field in wanted.fields}


def engine_of(backend, kind, way, method="full", **given):
    spec, wanted = student(kind, way)
    return build_engine(backend, spec, plan_for(spec, (), method), distillation=wanted, **given), wanted


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def attended(spec, layer, state, length):
    """softmax(q k^T / sqrt(width)) of one sequence, ``(heads, seq, seq)``."""
    from common.training.attending import probabilities

    found = probabilities(spec, layer, state[:length])
    heads, width = 2, 8
    query, key = (
        (
            state[:length]
            @ spec.arrays[f"bert.encoder.layer.{layer}.attention.self.{name}.weight"].T.astype(np.float64)
            + spec.arrays[f"bert.encoder.layer.{layer}.attention.self.{name}.bias"]
        ).reshape(length, heads, width)
        for name in ("query", "key")
    )
    for head in range(heads):
        powers = np.exp(query[:, head] @ key[:, head].T / np.sqrt(width))
        assert_near(found[head], powers / powers.sum(1, keepdims=True), 1e-6, absolute=True)
    return found.astype(np.float64)


def expected_attention(spec, states, batch, wanted):
    """Sum over the real rows, in float64; of a model of one layer."""
    total = 0.0
    for row in np.flatnonzero(batch["labels"] != IGNORE):
        length = int(batch["attention_mask"][row].sum())
        ours = attended(spec, 0, states[0][row], length).transpose(1, 0, 2)  # (queries, heads, keys)
        given = batch["teacher_attention"][row, :length, 0].astype(np.float64)
        theirs = given[:, :, : batch["input_ids"].shape[1]]
        whole = np.zeros(theirs.shape)
        whole[:, :, :length] = ours
        if wanted.attention == "mse":
            each = ((whole - theirs) ** 2).sum(-1) / length
        else:
            each = 1 - (whole * theirs).sum(-1) / np.linalg.norm(whole, axis=-1) / np.linalg.norm(theirs, axis=-1)
        total += each.mean()
    return wanted.attention_weight * total


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


@pytest.mark.parametrize(
    ("kind", "way"), [*(("gpt2-classifier", way) for way in PLAIN), *(("bert", way) for way in WAYS)]
)
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
    whole = expected(states, logits, batch, wanted)
    if wanted.attention != "none":
        whole += expected_attention(student(kind, way)[0], states, batch, wanted)
    assert loss == pytest.approx(whole, rel=1e-5)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("bert", "kl-cos"),
        pytest.param("gpt2-classifier", "mse-every", marks=pytest.mark.nightly),
        pytest.param("bert", "attention-cos", marks=pytest.mark.nightly),
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


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_both_backends_differentiate_attention_alike():
    gradients = []
    for name in ("pytorch", "mindspore"):
        engine, wanted = engine_of(load(name), "bert", "attention")
        gradients.append(engine.gradients([batch_of("bert", wanted)]))
    key = "bert.encoder.layer.0.attention.self.key.weight"
    assert np.abs(gradients[0][key]).max() > 1e-3
    assert_near(gradients[1][key], gradients[0][key], GRADIENT)


PROJECTION = "distillation.projection.weight"


def projected(backend, **given):
    """A student of width 16 whose teacher has width 24."""
    wanted = Distillation("teacher", logits="none", hidden="mse")
    spec = tiny_spec("bert", num_hidden_layers=1)
    spec = dataclasses.replace(spec, schema=BatchSchema.of(spec.schema.fields, wanted.fields))
    beside = (ParameterSpec(PROJECTION, (24, 16), "distillation", Normal(0.25)),)
    return build_engine(backend, spec, plan_for(spec, (), "full"), distillation=wanted, beside=beside, **given)


def wide_batch(seed=0):
    batch = dict(make_batch("bert", LENGTHS, seed=seed))
    hidden = np.random.default_rng(seed).standard_normal((*batch["input_ids"].shape, 2, 24))
    return batch | {"teacher_hidden": hidden.astype(np.float32)}


def test_states_of_another_width_are_projected_by_a_matrix_that_learns_and_is_kept_in_the_state_alone(backend):
    engine = projected(backend)
    start = engine.state()[f"beside.{PROJECTION}"]
    batch = wide_batch()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    found = import_module(f"{backend.__name__}.parity").forward(engine.model, inputs)
    total = -log_softmax(found["logits"])[np.arange(4), batch["labels"]].sum()
    for place, name in enumerate(("hidden/00", "hidden/01")):
        apart = ((found[name] @ start.T - batch["teacher_hidden"][:, :, place]) ** 2).mean(-1)
        total += sum(apart[row, :length].mean() for row, length in enumerate(LENGTHS)) / 2
    [(loss, _)] = engine.fetch([engine.train_step([batch], 1e-2)])
    assert loss == pytest.approx(total, rel=1e-5)
    state = engine.state()
    assert np.abs(state[f"beside.{PROJECTION}"] - start).max() > 1e-3
    assert PROJECTION not in engine.trainable()
    assert f"exp_avg.{PROJECTION}" in state
    assert engine.gradients([batch]).keys() == engine.trainable().keys()
    other = projected(backend)
    other.load_trainable(engine.trainable())
    other.load_state(state)
    for one in (engine, other):
        one.train_step([wide_batch(1)], 1e-2)
    assert (engine.state()[f"beside.{PROJECTION}"] == other.state()[f"beside.{PROJECTION}"]).all()


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_both_backends_learn_the_same_projection(compile_):
    found = []
    for name in ("pytorch", "mindspore"):
        engine = projected(load(name), compile=compile_ and name == "mindspore")
        losses = engine.fetch([engine.train_step([wide_batch(step % 3)], 1e-3) for step in range(12)])
        found.append((engine.state()[f"beside.{PROJECTION}"], np.array(losses)))
    assert_near(found[1][0], found[0][0], 1e-4)
    assert_near(found[1][1], found[0][1], 1e-4)
