"""Counts before anything is built, starting values, and merging arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import load_config
from common.methods import METHODS
from common.methods.lora import MEMBER as LORA
from common.methods.lora import LoraArguments, placement
from common.methods.merge import merged_model, merged_weight
from common.methods.targets import Target
from common.models.loading import outline
from common.models.specs import ModelSpec
from common.random import normal, uniform
from tests.support import assert_identical, lora_edit, nonzero_values, plan_for, tiny_spec, unfrozen

HEAD = 4614  # 6 labels of 768, with biases


def published(family, task, labels=None) -> ModelSpec:
    """The shapes of BERT-base or GPT-2 small, without arrays: nothing is built."""
    return outline(family, task, {}, labels)


BASE = published("bert", "sequence-classification", tuple("abcdef"))


@pytest.mark.parametrize(("rank", "adapters"), [(2, 73_728), (8, 294_912), (32, 1_179_648)])
def test_query_and_value_of_bert_base(rank, adapters):
    counts = plan_for(BASE, ["*.query", "*.value"], rank=rank).counts()
    assert counts["lora_A"] + counts["lora_B"] == adapters
    assert counts["head"] == HEAD
    assert counts["total"] == adapters + HEAD


def test_every_dense_layer_of_bert_base_with_the_pooler():
    counts = plan_for(BASE, ["*.query", "*.key", "*.value", "*.dense"], rank=8).counts()
    assert (counts["total"], counts["head"]) == (1_339_392 + HEAD, HEAD)


def test_published_sizes_of_the_models():
    assert BASE.parameter_count() == 109_482_240 + HEAD
    assert published("gpt2", "language-modeling").parameter_count() == 124_439_808


@pytest.mark.parametrize(("rank", "adapters"), [(4, 147_456), (8, 294_912)])
def test_query_and_value_of_the_fused_projection_of_gpt2_small(rank, adapters):
    plan = plan_for(published("gpt2", "language-modeling"), ["*.c_attn[q,v]"], rank=rank)
    assert plan.counts()["total"] == adapters


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(
    ("targets", "theirs", "rank"),
    [
        (["*.query", "*.value"], ["query", "value"], 2),
        (["*.query", "*.key", "*.value", "*.dense"], ["query", "key", "value", "dense"], 8),
    ],
)
def test_peft_counts_the_same(targets, theirs, rank):
    torch, transformers, peft = (pytest.importorskip(name) for name in ("torch", "transformers", "peft"))
    with torch.device("meta"):
        model = transformers.BertForSequenceClassification(transformers.BertConfig(num_labels=6))
        adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=rank, target_modules=theirs))
    trainable, _ = adapted.get_nb_trainable_parameters()
    plan = plan_for(BASE, targets, rank=rank)
    assert trainable == plan.counts()["total"]


def test_starting_values_are_kaiming_uniform_and_zero():
    spec = tiny_spec("bert", hidden_size=256, num_attention_heads=4)
    plan = plan_for(spec, ["*.query", "*.word_embeddings"], rank=8)
    values = plan.initial_values(3)
    assert {name: array.shape for name, array in values.items()} == {
        name: shape for step in plan.edits for name, shape in step.shapes().items()
    }
    for name, array in values.items():
        assert array.dtype == np.float32
        if name.endswith("lora_A"):
            bound = 1 / np.sqrt(256)
            assert np.abs(array).max() <= bound
            assert np.abs(array).max() > 0.99 * bound
            assert array.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
            assert abs(array.mean()) < 0.1 * bound
        elif name.endswith("lora_embedding_B"):
            assert array.std() == pytest.approx(1.0, rel=0.1)
        else:
            assert not array.any()


def test_starting_values_depend_on_seed_and_path_and_on_nothing_else():
    spec = tiny_spec("bert")
    both = plan_for(spec, ["*.query", "*.value"]).initial_values(0)
    turned = plan_for(spec, ["*.value", "*.query"]).initial_values(0)
    assert_identical(turned, both)
    alone = plan_for(spec, ["*.0.*.value"]).initial_values(0)
    assert_identical(alone, {name: both[name] for name in alone})
    other = plan_for(spec, ["*.query", "*.value"]).initial_values(1)
    drawn = [name for name in both if name.endswith("lora_A")]
    assert all(not np.array_equal(both[name], other[name]) for name in drawn)
    assert len({both[name].tobytes() for name in drawn}) == len(drawn)


def test_random_arrays_are_these_on_every_host():
    """Pinned values: a change of the generator would change every experiment."""
    assert uniform(42, "layer.lora_A", (2, 2), 1.0).tolist() == [
        [-0.3612452745437622, -0.039969682693481445],
        [0.12017858028411865, -0.05850529670715332],
    ]
    assert normal(42, "layer.weight", (3,), 0.02) == pytest.approx(
        [0.0199820045, -0.0069383201, -0.0266844705], rel=1e-6
    )


@settings(deadline=None)
@given(st.integers(0, 2**63), st.text(max_size=20), st.integers(1, 50), st.floats(1e-3, 10.0))
def test_uniform_draws_stay_in_bounds_and_repeat(seed, name, size, bound):
    drawn = uniform(seed, name, (size,), bound)
    assert np.abs(drawn).max() <= np.float32(bound)
    assert np.array_equal(drawn, uniform(seed, name, (size,), bound))
    assert np.array_equal(drawn[:1], uniform(seed, name, (1,), bound))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=4, max_size=12).filter(lambda cuts: 1 in cuts),
    st.integers(1, 3),
    st.sampled_from(["linear", "transposed_linear"]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_merged_weights_hold_each_slice_where_it_belongs_and_leave_the_rest(marks, rank, kind, stabilised, seed):
    """Any set of ranges, against a loop over the slices."""
    edges = [i for i in range(len(marks) + 1) if (marks[i] if i < len(marks) else 0) != (marks[i - 1] if i else 0)]
    slices = tuple((f"s{i}", start, stop) for i, (start, stop) in enumerate(zip(edges[::2], edges[1::2], strict=True)))
    out = len(marks)
    step = lora_edit("m", kind, 5, out, LoraArguments(rank, 3.0, 0.0, stabilised, slices))
    generator = np.random.default_rng(seed)
    adapter = {name: generator.normal(size=shape).astype(np.float32) for name, shape in step.shapes().items()}
    weight = generator.normal(size=(out, 5)).astype(np.float32)
    expected, row = weight.astype(np.float64), 0
    scaling = 3.0 / (np.sqrt(rank) if stabilised else rank)
    for index, (_, start, stop) in enumerate(slices):
        a, b = adapter["m.lora_A"][index * rank : (index + 1) * rank], adapter["m.lora_B"][row : row + stop - start]
        expected[start:stop] += scaling * b.astype(np.float64) @ a.astype(np.float64)
        row += stop - start
    merged, error = merged_weight(weight if kind == "linear" else weight.T, LORA.delta(step, adapter))
    merged = merged if kind == "linear" else merged.T
    assert merged.dtype == np.float32
    assert np.abs(merged - expected).max() <= 6e-8 * np.abs(expected).max() * 1.01
    outside = np.array(marks) == 0
    assert np.array_equal(merged[outside], weight[outside])
    assert 0 <= error <= 6e-8
    rows, mask = placement(step)
    assert rows.max(initial=0) < row
    assert mask.sum() == row * rank


def test_the_reported_error_is_that_of_the_rounding():
    step = lora_edit("m", "linear", 2, 2, LoraArguments(1, 1.0))
    adapter = {"m.lora_A": np.float32([[1, 0]]), "m.lora_B": np.float32([[1], [0]])}
    exact, error = merged_weight(np.float32([[1, 0], [0, 1]]), LORA.delta(step, adapter))
    assert (exact.tolist(), error) == ([[2, 0], [0, 1]], 0.0)
    lost, error = merged_weight(np.float32([[1e9, 0], [0, 0]]), LORA.delta(step, adapter))
    assert lost[0, 0] == np.float32(1e9)
    assert error == pytest.approx(1e-9, rel=1e-6)
    nothing = {name: 0 * array for name, array in adapter.items()}
    assert merged_weight(np.zeros((2, 2), np.float32), LORA.delta(step, nothing))[1] == 0.0


def test_merged_arrays_are_a_whole_model_with_the_trained_head_and_biases():
    spec = tiny_spec("bert")
    plan = plan_for(spec, ["*.query"], bias="lora_only")
    trained = nonzero_values(plan) | {name: np.full(shape, 9.0, np.float32) for name, shape in unfrozen(plan).items()}
    before = {name: array.copy() for name, array in spec.arrays.items()}
    merged, errors = merged_model(plan, spec, trained)
    assert set(merged.arrays) == set(spec.arrays)
    changed = {name for name, array in merged.arrays.items() if not np.array_equal(array, spec.arrays[name])}
    assert changed == set(unfrozen(plan)) | {f"{step.path}.weight" for step in plan.edits}
    assert set(errors) == {step.path for step in plan.edits}
    assert_identical(spec.arrays, before)
    full = plan_for(spec, (), method="full")
    new = {name: array + 1 for name, array in spec.arrays.items()}
    assert_identical(merged_model(full, spec, new)[0].arrays, new)


def test_an_embedding_that_no_head_shares_may_be_merged():
    spec = tiny_spec("gpt2-classifier")
    plan = plan_for(spec, ["*.wte"])
    trained = nonzero_values(plan) | {name: spec.arrays[name] for name in unfrozen(plan)}
    assert set(merged_model(plan, spec, trained)[1]) == {"transformer.wte"}
    assert spec.shared == frozenset()
    assert tiny_spec("gpt2").shared == {"transformer.wte"}


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_with_same_start_every_layer_begins_with_one_a_and_without_with_its_own(method):
    spec = tiny_spec("gpt2", n_layer=3)
    targets = (Target("*.attn.c_attn"), Target("*.mlp.c_fc"))
    for same in (False, True):
        found = METHODS.get(method)
        plan = found.plan(found.Options(method, targets, rank=2, alpha=3.0, same_start=same), spec)
        values = plan.initial_values(1)
        first, second = (values[f"transformer.h.{layer}.attn.c_attn.lora_A"] for layer in (0, 2))
        assert (first == second).all() == same
        assert values["transformer.h.0.mlp.c_fc.lora_A"].shape == first.shape
        assert not (values["transformer.h.0.mlp.c_fc.lora_A"] == first).any()


@pytest.mark.parametrize(
    ("size", "width", "layers", "trained"), [("medium", 1024, 24, 393_216), ("large", 1280, 36, 737_280)]
)
@pytest.mark.parametrize("data", ["e2e", "webnlg", "dart"])
def test_the_experiments_of_the_lora_paper_train_what_its_code_trains(data, size, width, layers, trained):
    config = load_config(f"gpt2_{size}_{data}_lora")
    spec = outline("gpt2", config.model.task, {"n_embd": width, "n_layer": layers})
    assert METHODS.get(config.adaptation.method).plan(config.adaptation, spec).counts()["total"] == trained
