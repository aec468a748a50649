"""What the PyTorch backend offers alone: reproducible dropout, bf16, and torch.compile."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import InputError
from tests.support import (
    TARGETS,
    assert_all_near,
    assert_identical,
    build_engine,
    make_batch,
    plan_for,
    tiny_spec,
    unfrozen,
)

half = pytest.importorskip("pytorch_impl")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.needs_pytorch


def engine_of(kind: str, dropout: float = 0.0, **settings):
    spec = tiny_spec(kind, dropout=dropout)
    return build_engine(half, spec, plan_for(spec, TARGETS[kind], dropout=dropout), **settings)


def test_dropout_follows_from_seed_and_step_not_from_what_ran_before():
    batch = make_batch("bert", [7, 3, 9, 9])
    first, second, other = engine_of("bert", 0.4), engine_of("bert", 0.4), engine_of("bert", 0.4, seed=1)
    losses = [loss for loss, _ in first.fetch([first.train_step([batch], 0.0) for _ in range(4)])]
    assert len(set(losses)) == 4
    torch.rand(1000)
    second.eval_step(batch)
    assert [loss for loss, _ in second.fetch([second.train_step([batch], 0.0) for _ in range(4)])] == losses
    assert other.fetch([other.train_step([batch], 0.0)])[0][0] not in losses
    assert first.eval_step(batch).loss_sum == engine_of("bert").eval_step(batch).loss_sum
    assert_identical(first.gradients([batch]), engine_of("bert").gradients([batch]))


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_bf16_keeps_what_is_trained_in_float32_and_stays_near_float32(kind):
    low, full = engine_of(kind, dtype="bf16"), engine_of(kind)
    batch = make_batch(kind, [7, 3, 9])
    assert {parameter.dtype for parameter in low.model.parameters() if parameter.requires_grad} == {torch.float32}
    assert any(parameter.dtype == torch.bfloat16 for parameter in low.model.parameters())
    assert all(
        module.weight.dtype == torch.float32
        for module in low.model.modules()
        if isinstance(module, (torch.nn.Embedding, torch.nn.LayerNorm))
    )
    assert low.eval_step(batch).loss_sum != full.eval_step(batch).loss_sum
    assert low.eval_step(batch).loss_sum == pytest.approx(full.eval_step(batch).loss_sum, rel=0.05)
    start = low.trainable()
    [(loss, norm)] = low.fetch([low.train_step([batch], 1e-2)])
    assert np.isfinite([loss, norm]).all()
    after = low.trainable()
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in after.values())
    assert any((after[name] != start[name]).any() for name in start)


def test_parameters_without_gradient_count_as_zero_and_the_step_is_kept():
    engine = engine_of("bert")
    half.set_enabled(engine.model, False)
    batch = make_batch("bert", [7, 3])
    gradients = engine.gradients([batch])
    assert set(gradients) == set(engine.plan.shapes())
    assert {name for name, gradient in gradients.items() if gradient.any()} == set(unfrozen(engine.plan))
    engine.train_step([batch], 1e-2)
    assert engine.state()["step"] == 1


def test_devices_that_are_not_here_are_refused():
    assert half.device.select("cpu") == "cpu"
    for wrong in ("tpu", "cuda:x", "cuda:99", ""):
        with pytest.raises(InputError, match=r"[Dd]evice"):
            half.device.select(wrong)


def test_fetching_nothing_gives_nothing():
    assert engine_of("bert").fetch([]) == []


def test_engines_do_not_share_parameters():
    first, second = engine_of("gpt2"), engine_of("gpt2")
    kept = second.trainable()
    first.train_step([make_batch("gpt2", [7, 3])], 0.1)
    assert_all_near(second.trainable(), kept, 0.0)
