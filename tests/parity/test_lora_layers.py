"""LoRA layers of both backends against float64 equations and against loralib."""

from __future__ import annotations

import numpy as np
import pytest

from common.edits import Edit
from common.errors import InputError
from common.methods.lora import LoraArguments, placed_b
from common.models.modules import LINEAR
from tests.parity import oracle
from tests.parity.layers import forward_backward, wrapped
from tests.support import assert_all_near, assert_near, lora_edit
from tests.tolerances import LAYER

IN, OUT, RANK = 6, 12, 2
SLICES = {
    "whole": (),
    "q-v": (("q", 0, 4), ("v", 8, 12)),
    "interleaved": (("a", 0, 2), ("b", 3, 4), ("c", 6, 11)),
    "one": (("k", 4, 8),),
    "of-heads": (("q", 0, 2), ("v", 4, 6), ("q", 6, 8), ("v", 10, 12)),
}
INPUTS = {
    "normal": lambda g: g.normal(size=(5, IN)),
    "huge": lambda g: g.normal(size=(5, IN)) * 1e3,
    "mixed": lambda g: g.normal(size=(5, IN)) * 10.0 ** g.integers(-6, 4, (5, IN)),
    "single-row": lambda g: g.normal(size=(1, IN)),
    "row-of-zeros": lambda g: np.vstack([np.zeros((1, IN)), g.normal(size=(2, IN))]),
}


def make_step(kind: str, slices: str = "whole", rank_stabilized: bool = False) -> Edit:
    return lora_edit("base", kind, IN, OUT, LoraArguments(RANK, 3.0, 0.0, rank_stabilized, SLICES[slices]))


def draw(step: Edit, seed: int = 0):
    """Weight in the layout of the kind, bias, adapter; float32 and nowhere zero."""
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(OUT, IN) if step.module.kind is LINEAR else (IN, OUT)).astype(np.float32)
    bias = None if step.module.kind.lookup else generator.normal(size=OUT).astype(np.float32)
    adapter = {
        name.rsplit(".", 1)[-1]: generator.normal(size=shape).astype(np.float32)
        for name, shape in step.shapes().items()
    }
    return weight, bias, adapter


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("kind", ["linear", "transposed_linear"])
def test_linear_layers_follow_the_equation_and_its_gradients(backend, kind, slices, inputs):
    step = make_step(kind, slices)
    weight, bias, adapter = draw(step)
    generator = np.random.default_rng(1)
    x = INPUTS[inputs](generator).astype(np.float32)
    upstream = generator.normal(size=(len(x), OUT)).astype(np.float32)
    y, gradients = forward_backward(backend, wrapped(backend, step, weight, bias, adapter), x, upstream)
    stored = weight if kind == "linear" else weight.T
    expected, expected_gradients = oracle.linear(
        x, stored, bias, adapter["lora_A"], adapter["lora_B"], step.arguments.parts, 3.0 / RANK, upstream
    )
    assert_near(y, expected, LAYER)
    assert_all_near(gradients, expected_gradients, LAYER)


@pytest.mark.parametrize("ids", [[[0, 5, 5], [2, 0, 1]], [[3]]], ids=["repeated", "single"])
def test_embedding_follows_the_equation_and_its_gradients(backend, ids):
    step = make_step("embedding")
    weight, bias, adapter = draw(step)
    ids = np.array(ids, np.int32)
    upstream = np.random.default_rng(1).normal(size=(*ids.shape, OUT)).astype(np.float32)
    y, gradients = forward_backward(backend, wrapped(backend, step, weight, bias, adapter), ids, upstream)
    expected, expected_gradients = oracle.embedding(
        ids, weight, adapter["lora_embedding_A"], adapter["lora_embedding_B"], 3.0 / RANK, upstream
    )
    assert_near(y, expected, LAYER)
    assert_all_near(gradients, expected_gradients, LAYER)


def test_rank_stabilised_scale_is_alpha_over_the_root_of_the_rank(backend):
    step = make_step("linear", rank_stabilized=True)
    weight, bias, adapter = draw(step)
    x = np.random.default_rng(1).normal(size=(3, IN)).astype(np.float32)
    y, _ = forward_backward(backend, wrapped(backend, step, weight, bias, adapter), x, np.ones((3, OUT), np.float32))
    assert_near(y, x @ (weight + 3.0 / np.sqrt(2.0) * adapter["lora_B"] @ adapter["lora_A"]).T + bias, LAYER)


@pytest.mark.parametrize("slices", ["whole", "q-v", "interleaved"])
def test_oracle_gradients_are_those_of_finite_differences(slices):
    step = make_step("linear", slices)
    weight, bias, adapter = draw(step)
    generator = np.random.default_rng(2)
    x, upstream = generator.normal(size=(4, IN)), generator.normal(size=(4, OUT))
    arrays = {"x": x, **{name: array.astype(np.float64) for name, array in adapter.items()}}

    def value(changed):
        return (
            oracle.linear(
                changed["x"], weight, bias, changed["lora_A"], changed["lora_B"], step.arguments.parts, 1.5, upstream
            )[0]
            * upstream
        ).sum()

    _, gradients = oracle.linear(
        x, weight, bias, adapter["lora_A"], adapter["lora_B"], step.arguments.parts, 1.5, upstream
    )
    for name, array in arrays.items():
        direction = generator.normal(size=array.shape)
        difference = (
            value(arrays | {name: array + 1e-5 * direction}) - value(arrays | {name: array - 1e-5 * direction})
        ) / 2e-5
        assert difference == pytest.approx((gradients[name] * direction).sum(), rel=1e-7)


@pytest.mark.parametrize("slices", [s for s in SLICES if s != "whole"])
def test_placed_b_is_zero_outside_its_blocks(slices):
    step = make_step("transposed_linear", slices)
    b = np.random.default_rng(0).normal(size=step.shapes()["base.lora_B"])
    placed = placed_b(step, b)
    a = np.random.default_rng(1).normal(size=step.shapes()["base.lora_A"])
    assert_near(placed @ a, oracle.lora_delta(a, b, step.arguments.parts, OUT, 1.0), 1e-15)
    assert np.count_nonzero(placed) == b.size


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("enabled", [[True, False, True], [False, True, False], [True, True, False]])
def test_slices_agree_with_the_fused_layer_of_loralib(backend, enabled):
    loralib, torch = pytest.importorskip("loralib"), pytest.importorskip("torch")
    slices = tuple((name, 4 * i, 4 * i + 4) for i, name in enumerate("qkv") if enabled[i])
    step = lora_edit("base", "linear", IN, OUT, LoraArguments(RANK, 3.0, 0.0, False, slices))
    weight, bias, adapter = draw(step)
    theirs = loralib.MergedLinear(IN, OUT, r=RANK, lora_alpha=3, enable_lora=enabled, merge_weights=False)
    theirs.weight.data, theirs.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    theirs.lora_A.data, theirs.lora_B.data = torch.from_numpy(adapter["lora_A"]), torch.from_numpy(adapter["lora_B"])
    x = np.random.default_rng(1).normal(size=(2, 3, IN)).astype(np.float32)
    expected = theirs(torch.from_numpy(x))
    upstream = np.random.default_rng(2).normal(size=expected.shape).astype(np.float32)
    (expected * torch.from_numpy(upstream)).sum().backward()
    y, gradients = forward_backward(backend, wrapped(backend, step, weight, bias, adapter), x, upstream)
    assert_near(y, expected.detach().numpy(), LAYER)
    for name in ("lora_A", "lora_B"):
        assert_near(gradients[name], getattr(theirs, name).grad.numpy(), LAYER)


@pytest.mark.parametrize("kind", ["linear", "transposed_linear", "embedding"])
def test_a_hundred_merges_leave_the_weight_as_it_was_to_the_bit(backend, kind):
    step = make_step(kind, "q-v" if kind == "transposed_linear" else "whole")
    weight, bias, adapter = draw(step)
    layer = wrapped(backend, step, weight, bias, adapter)
    for _ in range(100):
        layer.merge()
        layer.unmerge()
    assert numpy_of(layer.base_layer.weight).tobytes() == weight.tobytes()


@pytest.mark.parametrize("kind", ["linear", "transposed_linear", "embedding"])
def test_merged_layer_computes_what_the_adapted_one_did(backend, kind):
    step = make_step(kind, "interleaved" if kind == "transposed_linear" else "whole")
    weight, bias, adapter = draw(step)
    layer = wrapped(backend, step, weight, bias, adapter)
    x = (
        np.arange(IN, dtype=np.int32)
        if kind == "embedding"
        else np.random.default_rng(1).normal(size=(4, IN)).astype(np.float32)
    )
    upstream = np.ones((len(x), OUT), np.float32)
    before, _ = forward_backward(backend, layer, x, upstream)
    layer.merge()
    assert layer.merged
    assert not layer.active
    after = call(backend, layer, x)
    assert_near(after, before, LAYER)
    with pytest.raises(InputError, match="merged already"):
        layer.merge()
    layer.unmerge()
    layer.unmerge()
    assert not layer.merged
    assert call(backend, layer, x).tobytes() == before.tobytes()


def test_switching_is_remembered_through_merging(backend):
    step = make_step("linear")
    layer = wrapped(backend, step, *draw(step))
    layer.enabled = False
    layer.merge()
    layer.unmerge()
    assert not layer.active
    layer.enabled = True
    assert layer.active
    layer.merge()
    layer.enabled = True
    assert not layer.active, "the update would be added twice"


def call(backend, layer, x):
    if backend.__name__ == "pytorch_impl":
        import torch

        with torch.no_grad():
            return layer(torch.from_numpy(x)).numpy()
    import mindspore

    return layer(mindspore.Tensor(x)).asnumpy()


def numpy_of(weight):
    return weight.detach().numpy() if hasattr(weight, "detach") else weight.asnumpy()
