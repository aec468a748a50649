"""Dropout of both backends: the masks of `common.dropout`, to the bit, forward and backward, compiled or not, and whole
trainings that agree with it on."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend import load
from common.dropout import kept, step_key
from tests.support import KINDS, ONE_LAYER, TARGETS, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import STEP_LOSS

SHAPES = [(7, 5), (3, 4, 6), (2, 3, 4, 4), (1, 1)]


def torch_dropout(path, p, key, x, upstream):
    import torch

    from pytorch_impl.layers.dropout import Dropout, DropoutKey

    module = Dropout(path, p)
    module.key = DropoutKey("cpu")
    module.key.set(*key)
    inputs = torch.from_numpy(x).requires_grad_()
    y = module(inputs)
    y.backward(torch.from_numpy(upstream))
    return y.detach().numpy(), inputs.grad.numpy()


def mindspore_dropout(path, p, key, x, upstream, compiled=True):
    import mindspore as ms

    from mindspore_impl.layers.dropout import Dropout, DropoutKey

    cell = Dropout(path, p).set_train(True)
    source = DropoutKey("cpu")
    cell.key = source.value

    def call(inputs):
        return cell(inputs)

    call = ms.jit(call) if compiled else call
    source.set(key[0], key[1] + 1, key[2])
    call(ms.Tensor(x))  # a graph that was compiled under another key must see the next
    source.set(*key)
    y = call(ms.Tensor(x))
    gradient = ms.grad(lambda inputs: (call(inputs) * ms.Tensor(upstream)).sum())(ms.Tensor(x))
    return y.asnumpy(), gradient.asnumpy()


RUNNERS = {
    "pytorch": pytest.param(torch_dropout, marks=pytest.mark.needs_pytorch),
    "mindspore compiled": pytest.param(mindspore_dropout, marks=pytest.mark.needs_mindspore),
    "mindspore pynative": pytest.param(
        lambda *given: mindspore_dropout(*given, compiled=False), marks=pytest.mark.needs_mindspore
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("runner", RUNNERS.values(), ids=RUNNERS.keys())
def test_values_and_gradients_carry_the_shared_mask_to_the_bit(runner, shape):
    key, p = (3, 11, 2), 0.3
    random = np.random.default_rng(0)
    x, upstream = (random.normal(size=shape).astype(np.float32) for _ in range(2))
    mask = kept("layer.dropout", step_key(*key), shape, p)
    for actual, given in zip(runner("layer.dropout", p, key, x, upstream), (x, upstream), strict=True):
        assert np.array_equal(actual, given * (mask * np.float32(1 / (1 - p))))


def sites(backend, kind):
    """Paths of every dropout that a step of an adapted model applies."""
    spec = tiny_spec(kind, dropout=0.2, **ONE_LAYER[KINDS[kind][0]])
    engine = build_engine(load(backend), spec, plan_for(spec, TARGETS[kind], dropout=0.2))
    model = engine.model
    found = list(model.modules()) if backend == "pytorch" else [cell for _, cell in model.cells_and_names()]
    engine.train_step([make_batch(kind, [3, 5])], 1e-3)
    return {module.path for module in found if type(module).__name__ == "Dropout" and module.p > 0}


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("kind", KINDS)
def test_both_backends_drop_at_the_same_places(kind):
    ours, theirs = sites("mindspore", kind), sites("pytorch", kind)
    attention_modules_own = {
        path for path in theirs if path.endswith((".self.dropout", ".attn_dropout"))
    }  # transformers makes them and does not call them
    assert ours == theirs - attention_modules_own
    assert len(ours) >= 5


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.nightly] if number else []) for number, kind in enumerate(KINDS)]
)
def test_trainings_with_dropout_on_agree_step_by_step(kind):
    """Every dropout at work: of the embeddings, the attention probabilities, both residuals, the classifier and LoRA,
    with two micro-batches a step."""
    spec = tiny_spec(kind, dropout=0.2)
    plan = plan_for(spec, TARGETS[kind], rank=4, dropout=0.3)
    steps = [[make_batch(kind, [9, 3, 16], seed=i), make_batch(kind, [9, 5, 2], seed=100 + i)] for i in range(12)]
    results = {}
    for backend, dropout_seed in (("pytorch", 5), ("mindspore", 5), ("mindspore", 6)):
        engine = build_engine(load(backend), spec, plan, plan.initial_values(0), seed=dropout_seed)
        handles = [engine.train_step(step, 1e-2) for step in steps]
        results[backend, dropout_seed] = np.array(engine.fetch(handles))
    for step, pair in enumerate(zip(results["mindspore", 5], results["pytorch", 5], strict=True)):
        assert_near(*pair, STEP_LOSS, what=f"step {step + 1}")
    assert np.abs(results["mindspore", 6] / results["pytorch", 5] - 1).max() > 0.01, "another seed draws other masks"
