"""Pairs, regression and multi-label classification: both backends, and `transformers`, compute the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.specs import ModelSpec
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_all_near, assert_near, build_engine, plan_for
from tests.tolerances import ACCUMULATION, BERT_LOGITS_ABS, GRADIENT

LABELS = {"regression": None, "multi-label-classification": ("a", "b", "c"), "sequence-classification": ("a", "b")}
CASES = [(task, family) for task in ("regression", "multi-label-classification") for family in ("bert", "gpt2")]
CASES += [("sequence-classification", "bert")]  # with the token types of pairs
ENTRIES = {"vocab_size": 60, "initializer_range": 0.3}


def spec_of(task: str, family: str) -> ModelSpec:
    """A tiny model without a parameter that is 0 or 1."""
    entries = {"model_type": family, **ENTRIES, **FAMILIES.get(family).tiny()}
    spec = load_model_spec(ModelConfig(None, task, None, 0.0, entries), LABELS[task], 60, 0, 0)
    shifted = {name: array + normal(0, f"shift.{name}", array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def batch_of(spec: ModelSpec, lengths: list[int]) -> dict[str, np.ndarray]:
    """Random rows; every second half is a second text."""
    batch = dict(example_batch(spec, lengths, "text tasks"))
    if "token_type_ids" in batch:
        second = np.arange(max(lengths)) >= np.array(lengths)[:, None] // 2
        batch["token_type_ids"] = (batch["attention_mask"] * second).astype(np.int32)
    return batch


def filled(spec: ModelSpec, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The batch with two more rows as `common.data.batching.collate` fills them."""
    grown = {}
    for field in spec.schema.fields:
        padding = 0 if field.padding == "pad_id" else field.padding
        rows = np.full((2, *batch[field.name].shape[1:]), padding, field.dtype)
        if field.first is not None:
            rows[:, 0] = field.first
        grown[field.name] = np.concatenate([batch[field.name], rows])
    return grown


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(("task", "family"), CASES)
def test_both_backends_have_the_same_loss_outputs_and_gradients(task, family):
    spec = spec_of(task, family)
    plan, batch = plan_for(spec, FAMILIES.get(family).TARGETS), batch_of(spec, [7, 12, 1])
    ours, theirs = (build_engine(load(name), spec, plan) for name in ("pytorch", "mindspore"))
    results = [engine.eval_step(batch) for engine in (ours, theirs)]
    assert results[1].loss_sum == pytest.approx(results[0].loss_sum, rel=1e-5)
    assert results[1].count == results[0].count == TASKS.get(task).targets(batch)
    for name in TASKS.get(task).outputs:
        assert_near(results[1].outputs[name], results[0].outputs[name], BERT_LOGITS_ABS, absolute=True)
    assert_all_near(theirs.gradients([batch]), ours.gradients([batch]), GRADIENT)


@pytest.mark.parametrize(("task", "family"), CASES)
def test_rows_that_fill_a_batch_change_neither_loss_nor_gradients(backend, task, family):
    spec = spec_of(task, family)
    engine = build_engine(backend, spec, plan_for(spec, FAMILIES.get(family).TARGETS))
    batch = batch_of(spec, [7, 4])
    grown = filled(spec, batch)
    plain, padded = engine.eval_step(batch), engine.eval_step(grown)
    assert (padded.loss_sum, padded.count) == (pytest.approx(plain.loss_sum, rel=ACCUMULATION), plain.count)
    assert_all_near(engine.gradients([grown]), engine.gradients([batch]), ACCUMULATION)
    idle = engine.eval_step(engine._task.ignored(batch))
    assert (idle.loss_sum, idle.count) == (0.0, 0)


@pytest.mark.parametrize(("task", "family"), CASES)
def test_micro_batches_equal_the_whole_batch(backend, task, family):
    spec = spec_of(task, family)
    engine = build_engine(backend, spec, plan_for(spec, FAMILIES.get(family).TARGETS))
    batch = batch_of(spec, [12, 9, 3, 5])
    tokens = {field.name for field in spec.schema.fields if field.per_token}
    rest = {name: array[1:, :9] if name in tokens else array[1:] for name, array in batch.items()}
    parts = [{name: array[:1] for name, array in batch.items()}, rest]
    assert_all_near(engine.gradients(parts), engine.gradients([batch]), ACCUMULATION)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_gradient_at_a_logit_of_0_is_that_of_the_cross_entropy(backend, label):
    spec = spec_of("multi-label-classification", "bert")
    zeros = {name: np.zeros_like(array) for name, array in spec.arrays.items() if name.startswith("classifier")}
    spec = dataclasses.replace(spec, arrays={**spec.arrays, **zeros})
    engine = build_engine(backend, spec, plan_for(spec, FAMILIES.get("bert").TARGETS))
    batch = batch_of(spec, [5])
    batch["labels"] = np.full_like(batch["labels"], label)
    gradient = engine.gradients([batch])["classifier.bias"]
    assert_near(gradient, np.full(3, (0.5 - label) / 3), 1e-6)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(("task", "family"), CASES)
def test_transformers_computes_the_same_mean_loss_from_the_saved_model(tmp_path, task, family):
    import torch
    from transformers import AutoModelForSequenceClassification

    from common.models.checkpoint import save_pretrained

    spec = spec_of(task, family)
    batch = batch_of(spec, [7, 12, 1])
    save_pretrained(tmp_path, spec, spec.arrays)
    model, report = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs = {name: torch.from_numpy(array) for name, array in batch.items() if name != "scored"}
    given = {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in inputs.items()}
    with torch.no_grad():
        expected = model.eval()(**given)
    plan = plan_for(spec, FAMILIES.get(family).TARGETS)
    found = build_engine(load("pytorch"), spec, plan, plan.initial_values(0)).eval_step(batch)  # adds nothing
    assert_near(found.outputs[TASKS.get(task).outputs[0]], expected.logits.numpy(), BERT_LOGITS_ABS, absolute=True)
    assert found.loss_sum / found.count == pytest.approx(expected.loss.item(), rel=1e-6)


def test_a_classifier_does_not_inherit_the_problem_of_a_regression_checkpoint(tmp_path):
    from common.models.checkpoint import save_pretrained

    spec = spec_of("regression", "bert")
    save_pretrained(tmp_path, spec, spec.arrays)
    config = ModelConfig(str(tmp_path), "sequence-classification", None, 0.0, {})
    loaded = load_model_spec(config, ("a", "b"), 60, 0, 0)
    assert "problem_type" not in loaded.config
    assert loaded.config["num_labels"] == 2
    again = load_model_spec(dataclasses.replace(config, task="regression"), None, 60, 0, 0)
    assert again.config["problem_type"] == "regression"
    assert set(again.new_parameters) == set()
