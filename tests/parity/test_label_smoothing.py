"""Smoothed labels: both backends compute torch's cross-entropy with ``label_smoothing``, and its gradients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.methods import METHODS
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.specs import ModelSpec
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_all_near, build_engine, plan_for
from tests.tolerances import GRADIENT

SHARE = 0.15


def spec_of(smoothing: float) -> ModelSpec:
    entries = {"model_type": "gpt2", "vocab_size": 60, "initializer_range": 0.3, **FAMILIES.get("gpt2").tiny()}
    config = ModelConfig(None, "data-to-text", None, 0.0, entries, {"label_smoothing": smoothing})
    spec = load_model_spec(config, None, 60, 0, 0)
    shifted = {name: array + normal(0, f"shift.{name}", array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def batch_of(spec: ModelSpec, smoothing: float) -> dict[str, np.ndarray]:
    """Three rows, of which one only fills the batch; prompts have no target."""
    batch = dict(example_batch(spec, [7, 12, 4], "data to text"))
    batch["labels"][:, :2] = -100
    batch["labels"][2] = -100
    return batch | ({"smoothing": np.array([smoothing, smoothing, 0], np.float32)} if smoothing else {})


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("method", ["lora", "full"])
def test_both_backends_have_the_gradients_of_smoothed_labels(method):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    spec = spec_of(SHARE)
    plan = (
        plan_for(spec, FAMILIES.get("gpt2").TARGETS)
        if method == "lora"
        else METHODS.get(method).plan(METHODS.get(method).example(()), spec)
    )
    batch = batch_of(spec, SHARE)
    ours, theirs = (build_engine(load(name), spec, plan) for name in ("pytorch", "mindspore"))
    found = ours.gradients([batch])
    assert_all_near(theirs.gradients([batch]), found, GRADIENT)
    if method == "full":
        model = GPT2LMHeadModel(GPT2Config(**{k: v for k, v in spec.config.items() if k != "model_type"})).eval()
        model.load_state_dict({name: torch.from_numpy(array) for name, array in spec.arrays.items()}, strict=False)
        logits = model(
            torch.from_numpy(batch["input_ids"]).long(), attention_mask=torch.from_numpy(batch["attention_mask"])
        ).logits
        labels = torch.from_numpy(batch["labels"]).long().flatten()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, label_smoothing=SHARE).backward()
        expected = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
        assert_all_near(found, {name: expected[name] for name in found}, GRADIENT)


@pytest.mark.parametrize("plain", [(), ("loss",)])
def test_smoothing_changes_training_and_leaves_evaluation_as_it_is(backend, plain):

    losses = {}
    for share in (0.0, SHARE):
        spec = spec_of(share)
        engine = build_engine(backend, spec, plan_for(spec, FAMILIES.get("gpt2").TARGETS), plain=plain)
        batch = batch_of(spec, share)
        evaluated = engine.eval_step(batch)
        ((trained, _),) = engine.fetch([engine.train_step([batch], 0.0)])
        losses[share] = evaluated.loss_sum, trained, evaluated.count
    assert losses[0.0][0] == pytest.approx(losses[SHARE][0], rel=1e-6)
    assert losses[0.0][1] == pytest.approx(losses[0.0][0], rel=1e-5)
    assert abs(losses[SHARE][1] - losses[0.0][1]) > 0.01
    assert losses[0.0][2] == TASKS.get("data-to-text").targets(batch)
