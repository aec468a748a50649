"""Compiled graphs of the MindSpore backend: as PyNative at every execution, compiled once a shape, and following every
switch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import (
    ONE_LAYER,
    TARGETS,
    assert_all_near,
    assert_identical,
    assert_near,
    build_engine,
    make_batch,
    plan_for,
    tiny_spec,
)
from tests.tolerances import EXECUTION, STEP_LOSS

backend = pytest.importorskip("mindspore_impl")
pytestmark = pytest.mark.needs_mindspore


def engines(kind: str, dropout: float = 0.0, bias: str = "lora_only"):
    """A compiled engine and one that runs PyNative, of equal start."""
    spec = tiny_spec(kind, dropout=dropout, **ONE_LAYER[kind])
    plan = plan_for(spec, TARGETS[kind], bias=bias, dropout=dropout)
    return [build_engine(backend, spec, plan, compile=compiled) for compiled in (True, False)]


def compilations() -> int:
    """Graphs compiled by this process so far."""
    from mindspore.graph.api import ms_compile_cache

    return len(ms_compile_cache)


def counted(function) -> int:
    """Graphs that ``function`` compiles."""
    before = compilations()
    function()
    return compilations() - before


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_graphs_give_the_gradients_of_pynative_at_every_execution(kind):
    """Operators exist whose gradient in a graph is right at the first execution only (slice, pad and concat joined in
    one product)."""
    graph, eager = engines(kind)
    for seed in (1, 2, 1, 3):
        batch = make_batch(kind, [7, 3, 9], seed=seed)
        expected = eager.gradients([batch])
        assert all(gradient.any() for gradient in expected.values())
        assert_all_near(graph.gradients([batch]), expected, 10 * EXECUTION)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_shape_is_compiled_once_whatever_the_values_rates_and_label_counts(kind):
    graph, eager = engines(kind)
    narrow = [make_batch(kind, lengths, seed=seed, width=8) for seed, lengths in enumerate(([8, 3], [8, 8], [1, 2]))]
    assert counted(lambda: graph.train_step([narrow[0]], 1e-2)) > 0
    eager.train_step([narrow[0]], 1e-2)
    for batch, rate in zip(narrow[1:], (1e-3, 0.0), strict=True):
        assert counted(lambda batch=batch, rate=rate: graph.train_step([batch], rate)) == 0
        eager.train_step([batch], rate)
    assert counted(lambda: graph.train_step(narrow[:2], 1e-2)) == 0, "micro-batches of a known shape"
    eager.train_step(narrow[:2], 1e-2)
    wide = make_batch(kind, [12, 5, 9])
    assert counted(lambda: graph.train_step([wide], 1e-2)) > 0
    eager.train_step([wide], 1e-2)
    assert counted(lambda: graph.train_step([narrow[0]], 1e-2)) == 0
    eager.train_step([narrow[0]], 1e-2)
    assert_all_near(graph.trainable(), eager.trainable(), STEP_LOSS)
    assert counted(lambda: graph.eval_step(wide)) > 0
    assert counted(lambda: graph.eval_step(wide)) == 0
    assert graph.compilations.count == 4, "two shapes in training, one in evaluation, and the optimizer"
    assert graph.compilations.seconds > 0
    assert eager.compilations.count == 0


def test_switching_and_merging_take_effect_in_compiled_graphs():
    graph, eager = engines("bert")
    batch = make_batch("bert", [7, 3])
    adapted = graph.eval_step(batch).outputs["logits"]
    for engine in (graph, eager):
        backend.set_enabled(engine.model, False)
    base = eager.eval_step(batch).outputs["logits"]
    assert np.abs(base - adapted).max() > 1e-3
    assert_near(graph.eval_step(batch).outputs["logits"], base, EXECUTION)
    assert not any(gradient.any() for name, gradient in graph.gradients([batch]).items() if ".lora_" in name)
    backend.set_enabled(graph.model, True)
    assert graph.eval_step(batch).outputs["logits"].tobytes() == adapted.tobytes()
    backend.merge(graph.model)
    assert_near(graph.eval_step(batch).outputs["logits"], adapted, 1e-5)
    backend.unmerge(graph.model)
    assert counted(lambda: graph.eval_step(batch)) == 0, "back to a graph that exists"
    assert graph.eval_step(batch).outputs["logits"].tobytes() == adapted.tobytes()


def test_loaded_values_reach_graphs_compiled_before():
    graph, eager = engines("gpt2")
    batch = make_batch("gpt2", [7, 3])
    before = graph.eval_step(batch).loss_sum
    arrays = {name: array + np.float32(0.3) for name, array in graph.trainable().items()}
    for engine in (graph, eager):
        engine.load_trainable(arrays)
    expected = eager.eval_step(batch).loss_sum
    assert abs(expected - before) > 1e-3
    assert graph.eval_step(batch).loss_sum == pytest.approx(expected, rel=EXECUTION)
    assert_all_near(graph.gradients([batch]), eager.gradients([batch]), 10 * EXECUTION)


def test_state_loaded_into_a_compiled_engine_is_the_state_it_continues_from():
    graph, eager = engines("bert")
    batch = make_batch("bert", [7, 3])
    start = graph.trainable(), graph.state()
    for engine in (graph, eager):
        for _ in range(2):
            engine.train_step([batch], 1e-2)
        engine.load_trainable(start[0])
        engine.load_state(start[1])
    fresh = engines("bert")[1]
    for engine in (graph, eager, fresh):
        engine.train_step([batch], 1e-2)
    assert_all_near(graph.trainable(), fresh.trainable(), EXECUTION)
    assert_identical(eager.trainable(), fresh.trainable())


def test_two_engines_of_one_process_do_not_share_graphs():
    first, second = (engines("bert")[0] for _ in range(2))
    second.load_trainable({name: array + np.float32(0.3) for name, array in second.trainable().items()})
    batch = make_batch("bert", [7, 3])
    expected = first.eval_step(batch).loss_sum
    assert second.eval_step(batch).loss_sum != pytest.approx(expected, rel=1e-3)
    kept = second.trainable()
    first.train_step([batch], 1e-2)
    assert_identical(second.trainable(), kept)


@pytest.mark.parametrize("compiled", [True, False])
def test_dropout_acts_in_training_alone_with_a_new_mask_each_step(compiled):
    engine = engines("bert", dropout=0.4)[0 if compiled else 1]
    plain = engines("bert")[1]
    batch = make_batch("bert", [7, 3, 9, 9])
    expected = plain.eval_step(batch).loss_sum
    losses = [loss for loss, _ in engine.fetch([engine.train_step([batch], 0.0) for _ in range(4)])]
    assert len(set(losses)) == 4, losses
    assert expected not in losses
    assert engine.eval_step(batch).loss_sum == pytest.approx(expected, rel=EXECUTION)
    assert_all_near(engine.gradients([batch]), plain.gradients([batch]), 10 * EXECUTION)


def test_compiled_training_of_many_steps_is_that_of_pynative():
    graph, eager = engines("gpt2", bias="all")
    steps = [[make_batch("gpt2", [8, 5], seed=seed), make_batch("gpt2", [8, 2], seed=seed + 50)] for seed in range(6)]
    losses = [np.array(engine.fetch([engine.train_step(step, 1e-2) for step in steps])) for engine in (graph, eager)]
    assert_near(losses[0], losses[1], STEP_LOSS)


def test_the_device_may_be_selected_again_after_something_was_computed():
    assert backend.device.select("cpu") == backend.device.select("cpu:0") == "cpu"
    for wrong in ("cuda:x", "tpu", "gpu:99", ""):
        with pytest.raises(backend.device.InputError, match=r"[Dd]evice"):
            backend.device.select(wrong)
