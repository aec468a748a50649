"""Promises that the engine of each backend keeps by itself: accumulation, clipping, AdamW, state, resumption, padding,
strictness."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.errors import InputError
from common.tasks import TASKS
from common.training.checkpoint import load_checkpoint, save_checkpoint
from tests.support import (
    KINDS,
    ONE_LAYER,
    TARGETS,
    assert_all_near,
    assert_identical,
    assert_near,
    build_engine,
    make_batch,
    plan_for,
    rows_of,
    tiny_spec,
    widen,
)
from tests.tolerances import ACCUMULATION, ACCUMULATION_DOUBLE, MOMENT, PADDING_ABS, UPDATE


def tiny_engine(backend, kind, targets=None, bias="none", **settings):
    spec = tiny_spec(kind)
    return build_engine(backend, spec, plan_for(spec, targets or TARGETS[kind], bias=bias), **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_of_other_lengths_and_label_counts_equal_the_whole_batch(backend, kind):
    engine = tiny_engine(backend, kind)
    batch = make_batch(kind, [16, 15, 3, 5, 2, 1, 2])
    batch["labels"][:1] = IGNORE
    parts = [rows_of(batch, rows) for rows in (slice(0, 2), slice(2, 5), slice(5, 7))]
    assert len({part["input_ids"].shape for part in parts}) == 3
    assert len({int((part["labels"] != IGNORE).sum()) for part in parts}) == 3
    assert_all_near(engine.gradients(parts), engine.gradients([batch]), ACCUMULATION)
    whole, split = tiny_engine(backend, kind), tiny_engine(backend, kind)
    reports = [one.fetch([one.train_step(given, 1e-2)])[0] for one, given in ((whole, [batch]), (split, parts))]
    assert_near(np.array(reports[1]), np.array(reports[0]), ACCUMULATION)
    assert_all_near(split.state(), whole.state(), MOMENT)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("kind", KINDS)
def test_in_float64_micro_batches_equal_the_whole_batch_to_its_rounding(kind):
    engine = tiny_engine(load("pytorch"), kind, dtype="fp64")
    batch = make_batch(kind, [16, 15, 3, 5, 2, 1, 2])
    parts = [rows_of(batch, rows) for rows in (slice(0, 2), slice(2, 5), slice(5, 7))]
    assert_all_near(engine.gradients(parts), engine.gradients([batch]), ACCUMULATION_DOUBLE)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_fill_a_batch_change_neither_loss_nor_gradients(backend, kind):
    engine = tiny_engine(backend, kind)
    batch = make_batch(kind, [7, 4])
    filled = {name: np.concatenate([array, np.zeros_like(array)]) for name, array in batch.items()}
    filled["attention_mask"][2:, 0] = 1
    filled["labels"][2:] = IGNORE
    plain, padded = engine.eval_step(batch), engine.eval_step(filled)
    assert (padded.loss_sum, padded.count) == (pytest.approx(plain.loss_sum, rel=ACCUMULATION), plain.count)
    assert_all_near(engine.gradients([filled]), engine.gradients([batch]), ACCUMULATION)


@pytest.mark.parametrize("kind", KINDS)
def test_more_padding_changes_neither_logits_nor_loss(backend, kind):
    engine = tiny_engine(backend, kind)
    batch = make_batch(kind, [7, 12, 1])
    wide = widen(batch, 32)
    wide["input_ids"][wide["attention_mask"] == 0] = 17  # what stands in padding is never read
    plain, padded = engine.eval_step(batch), engine.eval_step(wide)
    assert padded.loss_sum == pytest.approx(plain.loss_sum, rel=ACCUMULATION)
    assert padded.count == plain.count
    last = batch["attention_mask"].sum(1).astype(np.int32) - 1
    at = (
        (lambda given: engine.eval_step(given).outputs["logits"])
        if engine.plan.head
        else (lambda given: engine.logits_at(given, last))
    )
    assert_near(at(wide), at(batch), PADDING_ABS, absolute=True)


def test_gpt2_classifies_by_the_last_real_token(backend):
    engine = tiny_engine(backend, "gpt2-classifier")
    batch = make_batch("gpt2-classifier", [5, 9])
    before = engine.eval_step(batch).outputs["logits"]
    cut = {name: array[:, :5] if array.ndim == 2 else array for name, array in batch.items()}
    changed = {name: array.copy() for name, array in batch.items()}
    changed["input_ids"][0, 4] += 1  # the last real token of the first row
    assert_near(engine.eval_step(cut).outputs["logits"][0], before[0], PADDING_ABS, absolute=True)
    after = engine.eval_step(changed).outputs["logits"]
    assert np.abs(after[0] - before[0]).max() > 1e-3
    assert after[1].tobytes() == before[1].tobytes()


def test_a_language_model_never_sees_what_follows(backend):
    engine = tiny_engine(backend, "gpt2")
    batch = make_batch("gpt2", [10, 10])
    changed = {name: array.copy() for name, array in batch.items()}
    changed["input_ids"][:, 6:] = 3
    positions = np.array([5, 5], np.int32)
    assert engine.logits_at(changed, positions).tobytes() == engine.logits_at(batch, positions).tobytes()
    positions += 1
    assert np.abs(engine.logits_at(changed, positions) - engine.logits_at(batch, positions)).max() > 1e-3


def adamw(parameters, gradients, moments, step, rate, settings, decayed):
    """One step of Loshchilov and Hutter's algorithm 2 after clipping, float64; returns parameters, moments and the
    norm."""
    settings = settings.optimization
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    factor = min(1.0, settings.max_grad_norm / (norm + 1e-6)) if settings.max_grad_norm is not None else 1.0
    new, kept = {}, {}
    for name, gradient in gradients.items():
        m, v = moments.get(name, (0.0, 0.0))
        m = settings.beta1 * m + (1 - settings.beta1) * factor * gradient
        v = settings.beta2 * v + (1 - settings.beta2) * (factor * gradient) ** 2
        kept[name] = m, v
        p = parameters[name] * (1 - rate * settings.weight_decay * decayed(name))
        new[name] = p - rate * (m / (1 - settings.beta1**step)) / (
            np.sqrt(v / (1 - settings.beta2**step)) + settings.epsilon
        )
    return new, kept, norm


def joined(arrays):
    """All arrays as one vector: among them are gradients that are zero but for rounding (of key biases), which have no
    relative error of their own."""
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays)])


@pytest.mark.parametrize(
    ("bound", "compiled"),
    [(0.05, False), (1e3, False), (None, False), (0.05, None)],
    ids=["clipped", "unreached", "unbounded", "default"],
)
def test_each_update_is_that_of_adamw_on_the_clipped_gradient(backend, bound, compiled):
    """Every step starts from the engine's own parameters and gradients, so that errors do not add up and none hides."""
    spec = tiny_spec("bert", **ONE_LAYER["bert"])
    engine = build_engine(
        backend,
        spec,
        plan_for(spec, TARGETS["bert"], bias="all"),
        weight_decay=0.3,
        max_grad_norm=bound,
        epsilon=1e-4,
        compile=compiled,
    )
    decayed = {name for name in engine.plan.shapes() if (name in engine.plan.decayed)}
    assert {name.rsplit(".", 1)[-1] for name in decayed} == {"lora_A", "lora_B", "weight"}
    assert not any("LayerNorm" in name for name in decayed)
    moments: dict = {}
    for step in range(1, 9 if compiled is False else 4):
        batch = make_batch("bert", [6, 3, 8], seed=step)
        before = {name: array.astype(np.float64) for name, array in engine.trainable().items()}
        gradients = {name: array.astype(np.float64) for name, array in engine.gradients([batch]).items()}
        rate = 1e-2 * (1 + step % 2)
        expected, moments, norm = adamw(before, gradients, moments, step, rate, engine.settings, decayed.__contains__)
        [(_, reported)] = engine.fetch([engine.train_step([batch], rate)])
        assert reported == pytest.approx(norm, rel=1e-5)
        after = engine.trainable()
        assert_near(
            joined({name: after[name] - before[name] for name in after}),
            joined({name: expected[name] - before[name] for name in after}),
            UPDATE,
        )
    assert engine.state()["step"] == step
    for index, moment in enumerate(("exp_avg", "exp_avg_sq")):
        expected = {f"{moment}.{name}": both[index] for name, both in moments.items()}
        assert_near(joined({name: engine.state()[name] for name in expected}), joined(expected), MOMENT)


@pytest.mark.needs_pytorch
def test_twenty_steps_are_those_of_torch_adamw(backend):
    """The optimizer of each backend alone against torch's, on given gradients spanning eight decades, one of them
    always zero."""
    torch = pytest.importorskip("torch")
    engine = tiny_engine(backend, "bert", weight_decay=0.1, max_grad_norm=None)
    generator = np.random.default_rng(0)
    start = engine.trainable()
    theirs = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in start.items()}
    groups = [
        {"params": [p for name, p in theirs.items() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for name, p in theirs.items() if p.dim() == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.999), eps=1e-8)
    for _ in range(20):
        gradients = {
            name: (generator.normal(size=a.shape) * 10.0 ** generator.integers(-6, 2, a.shape)).astype(np.float32)
            for name, a in start.items()
        }
        next(iter(gradients.values()))[0] = 0.0
        for name, parameter in theirs.items():
            parameter.grad = torch.from_numpy(gradients[name])
        reference.step()
        step_with(backend, engine, gradients, 3e-3)
    after = engine.trainable()
    assert_all_near(
        {name: after[name] - start[name] for name in start},
        {name: theirs[name].detach().numpy() - start[name] for name in start},
        UPDATE,
    )


def step_with(backend, engine, gradients, rate):
    """One update with these gradients."""
    make = (
        pytest.importorskip("torch").tensor
        if backend.__name__ == "pytorch_impl"
        else pytest.importorskip("mindspore").Tensor
    )
    engine._optimizer.step(tuple(make(gradients[name]) for name in engine._optimizer.parameters), rate)


@pytest.mark.parametrize(("kind", "dropout"), [("bert", 0.0), ("gpt2", 0.0), ("bert", 0.3)])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(backend, kind, dropout, tmp_path):
    batches = [[make_batch(kind, [6, 3], seed=2 * i), make_batch(kind, [9], seed=2 * i + 1)] for i in range(4)]

    def fresh():
        spec = tiny_spec(kind, dropout=dropout, **ONE_LAYER[kind])
        return build_engine(backend, spec, plan_for(spec, TARGETS[kind], dropout=dropout, bias="all"))

    whole, first, second = fresh(), fresh(), fresh()
    expected = [whole.train_step(step, 1e-2) for step in batches]
    actual = [first.train_step(step, 1e-2) for step in batches[:2]]
    stopping = {"best": None, "best_step": None, "without_improvement": 0}
    progress = {"step": 2, "evaluated_step": None, "seconds": 0.0, "log_lines": 0, "stopping": stopping}
    save_checkpoint(tmp_path / "state.safetensors", first, progress)
    first.train_step(batches[0], 1.0)  # the first engine goes on; the file must not follow it
    assert load_checkpoint(tmp_path / "state.safetensors", second) == progress
    second.eval_step(batches[0][0])
    actual += [second.train_step(step, 1e-2) for step in batches[2:]]
    assert whole.fetch(expected)[2:] == second.fetch(actual)[2:]
    assert_identical(second.trainable(), whole.trainable())
    assert_identical(second.state(), whole.state())


def test_state_before_the_first_step_is_zero_and_loads(backend):
    engine = tiny_engine(backend, "bert")
    state = engine.state()
    assert state["step"] == 0
    assert state["step"].dtype == np.int64
    assert not any(array.any() for array in state.values())
    other = tiny_engine(backend, "bert")
    other.load_state(state)
    batch = make_batch("bert", [4, 2])
    for one in (engine, other):
        one.train_step([batch], 1e-2)
    assert_identical(other.trainable(), engine.trainable())


def test_what_an_engine_returns_is_a_copy(backend):
    engine = tiny_engine(backend, "bert")
    batch = make_batch("bert", [4, 2])
    trainable, state, gradients = engine.trainable(), engine.state(), engine.gradients([batch])
    kept = [{name: array.copy() for name, array in given.items()} for given in (trainable, state, gradients)]
    engine.train_step([batch], 0.1)
    for given, before in zip((trainable, state, gradients), kept, strict=True):
        for name in given:
            assert np.array_equal(given[name], before[name]), name
    for array in trainable.values():
        array.fill(7.0)
    assert not any((array == 7.0).any() for array in engine.trainable().values())


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "nan", "inf"])
@pytest.mark.parametrize("what", ["trainable", "state"])
def test_loading_is_strict_and_changes_nothing_when_it_refuses(backend, what, fault):
    engine = tiny_engine(backend, "bert")
    engine.train_step([make_batch("bert", [4, 2])], 1e-2)
    before = engine.trainable() | engine.state()
    arrays = {
        name: array + 1 for name, array in (engine.trainable() if what == "trainable" else engine.state()).items()
    }
    name = sorted(arrays)[0 if fault in ("nan", "inf") else -1]
    if fault == "missing":
        del arrays[name]
    elif fault == "unexpected":
        name = "surplus"
        arrays[name] = np.ones(1, np.float32)
    elif fault == "shape":
        arrays[name] = arrays[name][..., None]
    else:
        arrays[name].flat[-1] = getattr(np, fault)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        (engine.load_trainable if what == "trainable" else engine.load_state)(arrays)
    assert_identical(engine.trainable() | engine.state(), before)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_weights_with_nan_are_refused(backend, kind):
    spec = tiny_spec(kind)
    name = next(iter(spec.arrays))
    broken = spec.arrays[name].copy()
    broken[-1, -1] = np.nan
    with pytest.raises(InputError, match=name):
        backend.build_model(
            dataclasses.replace(spec, arrays={**spec.arrays, name: broken}), backend.device.select("cpu")
        )
    rest = {other: array for other, array in spec.arrays.items() if other != name}
    with pytest.raises(InputError, match=f"{name}: missing"):
        backend.build_model(dataclasses.replace(spec, arrays=rest), backend.device.select("cpu"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_scored_labels_evaluates_to_nothing(backend, kind):
    """What a process computes that is left without a batch in the last round of an evaluation."""
    engine, batch = tiny_engine(backend, kind), make_batch(kind, [4, 2])
    result = engine.eval_step(TASKS.get(KINDS[kind][1]).ignored(batch))
    assert (result.loss_sum, result.count) == (0.0, 0)
    expected = engine.eval_step(batch).outputs
    assert result.outputs.keys() == expected.keys()
    assert all(np.array_equal(output, expected[name]) for name, output in result.outputs.items())


def test_a_step_without_scored_labels_is_refused(backend):
    engine = tiny_engine(backend, "bert")
    batch = make_batch("bert", [4, 2])
    batch["labels"][:] = IGNORE
    with pytest.raises(InputError, match="at least one target"):
        engine.train_step([batch], 1e-2)
    assert engine.eval_step(batch).loss_sum == 0.0
    assert engine.eval_step(batch).count == 0


@pytest.mark.parametrize(
    ("method", "options"), [("full", {}), ("head", {}), ("lora", {"bias": "lora_only"}), ("lora", {"bias": "all"})]
)
def test_only_what_the_plan_names_is_trained(backend, method, options):
    spec = tiny_spec("bert")
    plan = plan_for(spec, TARGETS["bert"] if method == "lora" else (), method=method, **options)
    engine = build_engine(backend, spec, plan)
    rewrite = __import__(f"{backend.__name__}.rewrite", fromlist=["x"])
    everything = {name: tuple(p.shape) for name, p in rewrite.parameters(engine.model).items()}
    before = rewrite.read_parameters(engine.model, everything)
    batch = make_batch("bert", [8, 8, 8])
    engine.train_step([batch], 1e-2)
    after = rewrite.read_parameters(engine.model, everything)
    changed = {name for name in everything if before[name].tobytes() != after[name].tobytes()}
    assert changed <= set(plan.shapes())
    unmoved = set(plan.shapes()) - changed
    assert not unmoved, unmoved


def test_the_learning_rate_zero_changes_nothing(backend):
    engine = tiny_engine(backend, "bert", weight_decay=0.5)
    before = engine.trainable()
    engine.train_step([make_batch("bert", [4, 2])], 0.0)
    assert_identical(engine.trainable(), before)


@pytest.mark.parametrize("kind", ["bert", "gpt2-classifier"])
def test_the_heads_learning_rate_is_its_own(backend, kind):
    """A step of AdamW from zero moments moves every element by the rate: the head by the factor more, with its decay,
    and all else as before."""
    batch = make_batch(kind, [9, 3, 16])
    changes = []
    for factor in (1.0, 20.0):
        engine = tiny_engine(backend, kind, head_factor=factor, weight_decay=0.5, max_grad_norm=None)
        before = engine.trainable()
        engine.train_step([batch], 1e-2)
        changes.append({name: array - before[name] for name, array in engine.trainable().items()})
    heads = {name for name in changes[0] if name.startswith(("classifier.", "score."))}
    assert heads
    assert heads < set(changes[0])
    for name in changes[0]:
        assert_near(changes[1][name], changes[0][name] * (20.0 if name in heads else 1.0), UPDATE, what=name)
