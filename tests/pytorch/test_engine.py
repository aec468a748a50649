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

backend = pytest.importorskip("pytorch_impl")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.needs_pytorch


def engine_of(kind: str, dropout: float = 0.0, **settings):
    spec = tiny_spec(kind, dropout=dropout)
    return build_engine(backend, spec, plan_for(spec, TARGETS[kind], dropout=dropout), **settings)


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


@pytest.mark.parametrize("kind", ["bert", "gpt2", "gpt2-classifier"])
def test_with_bf16_no_product_of_a_step_is_computed_in_another_dtype(kind):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.operands = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if "mm" in function._schema.name or "attention" in function._schema.name:
                self.operands.append((str(function), {arg.dtype for arg in args if isinstance(arg, torch.Tensor)}))
            return function(*args, **(kwargs or {}))

    engine, batch = engine_of(kind, 0.1, dtype="bf16"), make_batch(kind, [7, 3, 9])
    with Products() as products:
        engine.train_step([batch], 1e-2)
    assert len(products.operands) > 20
    assert [found for found in products.operands if found[1] != {torch.bfloat16}] == []


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "gpt2-classifier"])
def test_neither_dropout_nor_biases_nor_slices_switch_the_fast_projection_off(kind, dropout, bias):
    from pytorch_impl.layers.lora import LoRALinear

    spec = tiny_spec(kind, dropout=dropout)
    engine = build_engine(backend, spec, plan_for(spec, TARGETS[kind], dropout=dropout, bias=bias))
    layers = [module for module in engine.model.modules() if isinstance(module, LoRALinear)]
    engine.model.train()
    assert layers
    for layer in layers:
        x = torch.randn(3, 5, layer.edit.module.in_features, requires_grad=True)
        view = layer(x).grad_fn  # of the (tokens, out) that the node gives
        assert type(view.next_functions[0][0]).__name__ == "_ProjectionBackward"


def test_parameters_without_gradient_count_as_zero_and_the_step_is_kept():
    engine = engine_of("bert")
    backend.set_enabled(engine.model, False)
    batch = make_batch("bert", [7, 3])
    gradients = engine.gradients([batch])
    assert set(gradients) == set(engine.plan.shapes())
    assert {name for name, gradient in gradients.items() if gradient.any()} == set(unfrozen(engine.plan))
    engine.train_step([batch], 1e-2)
    assert engine.state()["step"] == 1


def test_devices_that_are_not_here_are_refused():
    assert backend.device.select("cpu") == "cpu"
    for wrong in ("tpu", "cuda:x", "cuda:99", ""):
        with pytest.raises(InputError, match=r"[Dd]evice"):
            backend.device.select(wrong)


def test_fetching_nothing_gives_nothing():
    assert engine_of("bert").fetch([]) == []


def test_engines_do_not_share_parameters():
    first, second = engine_of("gpt2"), engine_of("gpt2")
    kept = second.trainable()
    first.train_step([make_batch("gpt2", [7, 3])], 0.1)
    assert_all_near(second.trainable(), kept, 0.0)


class Second:
    """The second of two processes, whose sums are its own."""

    rank, size = 1, 2

    def sum(self, tensors):
        return tensors


def test_what_a_network_draws_itself_belongs_to_the_micro_batch_and_not_to_the_process():
    """Noise of a network of transformers or of one's own: two processes draw what one with two micro-batches does."""
    batches = [make_batch("bert", [7, 3]), make_batch("bert", [5, 4])]

    def drawn(group=None, more=0):
        engine, found = engine_of("bert"), []
        read = engine.model.logits

        def logits(*arguments):
            found.append(torch.rand(1 + more)[0].item())
            return read(*arguments)

        engine.model.logits = logits
        engine.group = group or engine.group
        for _ in range(2):
            engine.train_step(batches, 0.0)
        return found

    alone = drawn()
    assert len(alone) == len(set(alone)) == 4
    assert drawn(more=3) == alone, "however much an earlier micro-batch draws"
    assert drawn(Second()) == alone[1::2]


def test_a_parameter_that_the_loss_does_not_reach_is_updated_with_a_gradient_of_zero():
    """As in several processes and in MindSpore, where zeros are all that is known of it."""
    engine = engine_of("bert")
    first, *others = engine.trainable()
    engine._loss_sum = lambda model, inputs, differentiable: (engine._parameters[first].sum(),)
    before = engine.trainable()
    engine.train_step([make_batch("bert", [7, 3])], 0.5)
    after = engine.trainable()
    decay = engine.settings.optimization.weight_decay
    decayed = [name for name in others if name in engine.plan.decayed]
    assert decay
    assert any(before[name].any() for name in decayed)
    for name in others:
        kept = 1.0 - 0.5 * decay if name in engine.plan.decayed else 1.0
        np.testing.assert_allclose(after[name], before[name] * np.float32(kept), rtol=1e-6)
    assert int(engine.state()["step"]) == 1
