"""BitFit: what it trains, its adapters, merging, and both backends."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.artifacts import adapter
from common.backend import load
from common.config.schema import ModelConfig
from common.errors import InputError
from common.methods import METHODS
from common.methods.coverage import coverage_rows, coverage_table
from common.methods.merge import merged_model
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec, outline
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_all_near, assert_identical, assert_near, build_engine
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, STEP_LOSS

BITFIT = METHODS.get("bitfit")
CLASSIFICATION, LANGUAGE = "sequence-classification", "language-modeling"
PAIRS = [("bert", CLASSIFICATION), ("roberta", CLASSIFICATION), ("gpt2", CLASSIFICATION), ("gpt2", LANGUAGE)]
SMALL = {"bert": ("*.query", "*.intermediate.dense"), "roberta": ("query",), "gpt2": ("*.c_fc",)}


def plan_of(spec, *targets, exclude=()):
    options = {"targets": targets} if targets else {}
    return BITFIT.plan(BITFIT.Options("bitfit", exclude=exclude, **options), spec)


def spec_of(family, task, source=None, dropout=0.0):
    """A tiny network, of which a saved one is read back from ``source``."""
    tiny = {"model_type": family, "vocab_size": 40, "initializer_range": 0.3, **FAMILIES.get(family).tiny()}
    config = ModelConfig(source and str(source), task, None, dropout, {} if source else tiny)
    return load_model_spec(config, TASKS.get(task).example_labels(), 40, 0, 0)


def saved_spec(family, task, folder):
    """A network in a folder, no parameter of which is 0 or 1, so that one left out is seen."""
    spec = spec_of(family, task)
    arrays = {name: array + normal(0, f"shift.{name}", array.shape, 0.2) for name, array in spec.arrays.items()}
    save_pretrained(folder, spec, arrays)
    return spec_of(family, task, folder)


def trained(plan, seed=1):
    return {name: normal(seed, name, shape, 0.3) for name, shape in plan.shapes().items()}


def engine_with(backend, spec, plan, arrays=None):
    engine = build_engine(load(backend), spec, plan, {})
    if arrays is not None:
        engine.load_trainable(arrays)
    return engine


def result_of(engine, spec, batch):
    """Logits of classifiers, of language models those after the first token."""
    found = engine.eval_step(batch).outputs
    return found["logits"] if found else engine.logits_at(batch, np.zeros(len(batch["input_ids"]), np.int32))


# Counts


def test_counts_of_bert_base_are_the_published_ones():
    """102,144 biases of the encoder and its embeddings, and 768 of the pooler; the paper trains under 0.1 %."""
    spec = outline("bert", CLASSIFICATION, {}, ("negative", "positive"))
    counts = plan_of(spec).counts()
    per_layer = 4 * 768 + 3072 + 768 + 2 * 768  # projections, feed-forward, norms
    assert counts == {"head": 2 * 768 + 2, "bias": 12 * per_layer + 768 + 768, "total": 12 * per_layer + 3074}
    assert counts["bias"] / spec.parameter_count() < 1e-3


def test_the_small_variant_of_the_paper_trains_two_biases_a_layer():
    spec = outline("bert", CLASSIFICATION, {}, ("negative", "positive"))
    plan = plan_of(spec, "*.query", "*.intermediate.dense")
    assert plan.counts()["bias"] == 12 * (768 + 3072)
    assert [row[:3] for row in coverage_rows(plan)] == [("*.query", 12, "0-11"), ("*.intermediate.dense", 12, "0-11")]
    assert [row[4] for row in coverage_rows(plan)] == [12 * 768, 12 * 3072]
    assert "*.intermediate.dense" in coverage_table(plan, spec)


def test_norms_can_be_left_out():
    spec = outline("bert", CLASSIFICATION, {}, ("negative", "positive"))
    whole, without = plan_of(spec), plan_of(spec, exclude=("*LayerNorm",))
    assert whole.counts()["bias"] - without.counts()["bias"] == 25 * 768
    assert not any("LayerNorm" in name for name in without.shapes())


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_exactly_the_biases_and_the_head_are_trained(family, task):
    spec = spec_of(family, task)
    plan = plan_of(spec)
    expected = {n for n in spec.shapes() if n.endswith(".bias") or n.rpartition(".")[0] in spec.head}
    assert set(plan.shapes()) == expected
    assert plan.edits == ()
    assert plan.decayed == {n for n in plan.in_head if len(plan.shapes()[n]) > 1}


@pytest.mark.parametrize(
    ("targets", "problem"),
    [(("*.c_attn[q]",), "trained whole"), (("*.wte",), "matches none"), (("score",), "only the task head")],
)
def test_patterns_that_train_no_whole_bias_are_refused(targets, problem):
    with pytest.raises(InputError, match=problem):
        plan_of(spec_of("gpt2", CLASSIFICATION), *targets)


# Both backends


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_gradients_and_training_agree_between_the_backends(family, task, tmp_path):
    spec = saved_spec(family, task, tmp_path)
    plan = plan_of(spec)
    batches = [example_batch(spec, [9, 3, 16], "bitfit|0"), example_batch(spec, [5], "bitfit|1")]
    engines = [engine_with(name, spec, plan) for name in ("pytorch", "mindspore")]
    gradients = [engine.gradients(batches) for engine in engines]
    zero = {name for name in gradients[0] if name.endswith("key.bias")}  # softmax does not see a shift of all scores
    expected, actual = ({n: g for n, g in found.items() if n not in zero} for found in gradients)
    if family == "gpt2":  # of a fused bias the key's part is such a shift
        width = spec.config["n_embd"]
        for found in (expected, actual):
            for name in [name for name in found if name.endswith("c_attn.bias")]:
                found[name] = np.delete(found[name], slice(width, 2 * width))
    assert_all_near(actual, expected, GRADIENT)
    losses = []
    for engine in engines:
        handles = [engine.train_step(batches, 1e-2) for _ in range(5)]
        losses.append(np.array([loss for loss, _ in engine.fetch(handles)]))
    assert_near(losses[1], losses[0], STEP_LOSS)
    assert losses[0][-1] < losses[0][0]
    frozen = {name: array for name, array in spec.arrays.items() if name not in plan.shapes()}
    for name, engine in zip(("pytorch", "mindspore"), engines, strict=True):
        shapes = {key: array.shape for key, array in frozen.items()}
        now = __import__(f"{name}_impl.rewrite", fromlist=["rewrite"]).read_parameters(engine.model, shapes)
        assert_identical(now, frozen)


# Artifacts


@pytest.mark.parametrize("subset", [False, True])
@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_saving_and_loading_is_exact_and_strict(family, task, subset, tmp_path):
    spec = saved_spec(family, task, tmp_path / "base")
    plan = plan_of(spec, *(SMALL[family] if subset else ()))
    arrays = trained(plan)
    adapter.save(tmp_path / "adapter", plan, spec, arrays)
    assert_identical(adapter.load(tmp_path / "adapter", plan, spec), arrays)
    other = plan_of(spec, exclude=("*attn*" if family == "gpt2" else "*attention*",))
    with pytest.raises(InputError, match=r"missing|unexpected"):
        adapter.load(tmp_path / "adapter", other, spec)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_a_merged_model_is_a_plain_checkpoint_with_the_same_logits(family, task, tmp_path):
    spec = saved_spec(family, task, tmp_path / "base")
    plan, batch = plan_of(spec), example_batch(spec, [9, 3, 16], "bitfit|2")
    arrays = trained(plan)
    merged, errors = merged_model(plan, spec, arrays)
    assert errors == {}
    save_pretrained(tmp_path / "merged", merged, merged.arrays)
    again = spec_of(family, task, tmp_path / "merged")
    assert again.new_parameters == ()
    expected = result_of(engine_with("pytorch", spec, plan, arrays), spec, batch)
    actual = result_of(engine_with("pytorch", again, plan), again, batch)
    assert_near(actual, expected, BERT_LOGITS_ABS, absolute=True)
    base = result_of(engine_with("pytorch", spec, plan), spec, batch)
    assert np.abs(base - expected).max() > 0.1


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("subset", [False, True])
@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_peft_computes_with_our_biases_and_we_read_those_that_it_saves(family, task, subset, tmp_path):
    torch, peft, transformers = (pytest.importorskip(name) for name in ("torch", "peft", "transformers"))
    spec = saved_spec(family, task, tmp_path / "base")
    plan, batch = plan_of(spec, *(SMALL[family] if subset else ())), example_batch(spec, [9, 3, 16], "bitfit|3")
    arrays = trained(plan)
    adapter.save(tmp_path / "ours", plan, spec, arrays)
    network = getattr(transformers, spec.layout.architecture)
    model = peft.PeftModel.from_pretrained(network.from_pretrained(tmp_path / "base"), str(tmp_path / "ours")).eval()
    inputs = {k: torch.from_numpy(v).long() for k, v in batch.items() if k != "labels"}
    with torch.no_grad():
        logits = model(**inputs).logits.numpy()
    actual = logits if task == CLASSIFICATION else logits[:, 0]
    expected = result_of(engine_with("pytorch", spec, plan, arrays), spec, batch)
    assert_near(actual, expected, BERT_LOGITS_ABS, absolute=True)
    if not subset:  # PEFT has no subset and saves every bias
        model.save_pretrained(tmp_path / "theirs")
        assert_identical(adapter.load(tmp_path / "theirs", plan, spec), arrays)
        assert json.loads((tmp_path / "theirs" / "adapter_config.json").read_text())["bias"] == "all"
