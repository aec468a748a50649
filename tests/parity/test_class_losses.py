"""Smoothed labels and distances as logits: what classifiers are trained with, in both backends, and what is
evaluated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import IGNORE, load
from common.backend.adversarial import Adversarial
from common.backend.batch import BatchSchema
from common.backend.distillation import Distillation
from common.config import load_config
from common.config.schema import ModelConfig
from common.errors import InputError
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks import TASKS
from common.tasks.example import example_batch
from common.training.assembly import _check_perturbed
from tests.support import assert_all_near, assert_identical, assert_near, build_engine, plan_for
from tests.tolerances import GRADIENT, STEP_LOSS

LABELS, VOCABULARY = ("a", "b", "c"), 50
WAYS = {
    "smoothed": {"label_smoothing": 0.15},
    "isomax": {"loss": "isomax"},
    "both": {"loss": "isomax", "scale": 4.0, "label_smoothing": 0.1},
}


def often(values, *main):
    """``values``, of which all but ``main`` are for the nightly run."""
    return [value if value in main else pytest.param(value, marks=pytest.mark.nightly) for value in values]


def spec_of(way, shifted=True, **entries):
    sizes = {"model_type": "bert", "vocab_size": VOCABULARY, "num_hidden_layers": 1, **FAMILIES.get("bert").tiny()}
    config = ModelConfig(None, "sequence-classification", None, 0.0, sizes, WAYS.get(way, {}))
    spec = load_model_spec(config, LABELS, VOCABULARY, 0, 3)
    moved = {name: array + normal(1, name, array.shape, 0.2) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=moved) if shifted else spec


def batch_of(way, seed=0):
    """The last row only fills the batch."""
    options = WAYS.get(way, {})
    batch = dict(example_batch(spec_of(way), [7, 3, 9, 1], f"losses|{seed}"))
    batch["labels"] = np.array([*batch["labels"][:-1], IGNORE], np.int32)
    if options.get("label_smoothing"):
        batch["smoothing"] = np.array([options["label_smoothing"]] * 3 + [0], np.float32)
    if "loss" in options:
        batch["sharpness"] = np.array([options.get("scale", 10.0)] * 3 + [0], np.float32)
    return batch


def engine_of(backend, way, **given):
    spec = spec_of(way)
    return build_engine(backend, spec, plan_for(spec, method="full"), **given)


def cross_entropy(logits, labels, smoothing=0.0):
    """Sum over the rows with a target, float64, by the definition of Szegedy et al. 2016."""
    logits = np.asarray(logits, np.float64)
    logs = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) - logits.max(1)[:, None]
    rows = np.flatnonzero(labels != IGNORE)
    q = np.full(logits.shape, smoothing / logits.shape[1])
    q[rows, labels[rows]] += 1 - smoothing
    return -(q * logs)[rows].sum()


@pytest.mark.parametrize("way", often(WAYS, "both"))
def test_training_has_the_options_and_evaluation_has_the_logits(backend, way):
    engine, batch, options = engine_of(backend, way), batch_of(way), WAYS[way]
    evaluated = engine.eval_step(batch)
    logits = evaluated.outputs["logits"]
    assert evaluated.loss_sum == pytest.approx(cross_entropy(logits, batch["labels"]), rel=1e-5)
    ((trained, _),) = engine.fetch([engine.train_step([batch], 0.0)])
    scale = options.get("scale", 10.0) if "loss" in options else 1.0
    expected = cross_entropy(scale * logits, batch["labels"], options.get("label_smoothing", 0.0))
    assert trained == pytest.approx(expected, rel=1e-4)
    assert abs(trained - evaluated.loss_sum) > 0.01


def test_the_logits_of_isomax_are_distances_to_the_prototypes(backend):
    """The features of the head are those that a linear output would get."""
    engine, spec = engine_of(backend, "isomax"), spec_of("isomax")
    plain = spec_of("plain")
    same = {name: spec.arrays.get(name, array) for name, array in plain.arrays.items()}
    identity = np.eye(16, dtype=np.float32)
    config = dataclasses.replace(plain, config={**plain.config, "num_labels": 16}, arrays=same)
    layout = plain.layout
    modules = tuple(m if m.path != layout.output else dataclasses.replace(m, out_features=16) for m in plain.modules)
    config = dataclasses.replace(config, modules=modules, arrays={**same, "classifier.weight": identity})
    config.arrays["classifier.bias"] = np.zeros(16, np.float32)
    batch = batch_of("isomax")
    read = build_engine(backend, config, plan_for(config, method="full"))
    features = read.eval_step({n: a for n, a in batch.items() if n != "sharpness"}).outputs["logits"]
    prototypes = spec.arrays["prototypes.weight"]
    expected = -np.linalg.norm(features[:, None].astype(np.float64) - prototypes, axis=-1)
    assert_near(engine.eval_step(batch).outputs["logits"], expected, 1e-5)


def test_prototypes_start_at_the_origin_and_move_apart(backend):
    spec = spec_of("isomax", shifted=False)
    assert not spec.arrays["prototypes.weight"].any()
    assert "prototypes.bias" not in spec.arrays
    engine = build_engine(backend, spec, plan_for(spec, method="full"))
    batch = batch_of("isomax")
    batch["labels"] = np.array([0, 1, 2, IGNORE], np.int32)
    for _ in range(3):
        engine.train_step([batch], 1e-2)
    moved = engine.trainable()["prototypes.weight"]
    assert len({row.tobytes() for row in moved}) == 3


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("way", often(WAYS, "both"))
def test_gradients_and_losses_agree(way):
    engines = [engine_of(load(name), way) for name in ("pytorch", "mindspore")]
    expected, actual = (engine.gradients([batch_of(way, 1)]) for engine in engines)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    real = {name for name, gradient in expected.items() if np.abs(gradient).max() > 1e-5 * largest}
    assert_all_near({n: actual[n] for n in real}, {n: expected[n] for n in real}, 5 * GRADIENT)
    found = []
    for engine in engines:
        handles = [engine.train_step([batch_of(way, step)], 1e-3) for step in range(4)]
        found.append(np.array([loss for loss, _ in engine.fetch(handles)]))
    assert_near(found[1], found[0], STEP_LOSS)


@pytest.mark.needs_pytorch
def test_smoothing_is_torchs():
    torch = pytest.importorskip("torch")
    engine, batch = engine_of(load("pytorch"), "smoothed"), batch_of("smoothed")
    logits = torch.from_numpy(engine.eval_step(batch).outputs["logits"])
    labels = torch.from_numpy(batch["labels"]).long()
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.15, reduction="sum")
    ((trained, _),) = engine.fetch([engine.train_step([batch], 0.0)])
    assert trained == pytest.approx(expected.item(), rel=1e-5)


def test_without_the_options_a_batch_is_as_it_was():
    task = TASKS.get("sequence-classification")
    assert task.schema(FAMILIES.get("bert")).names == ("input_ids", "attention_mask", "token_type_ids", "labels")
    assert spec_of("plain").layout == FAMILIES.get("bert").head("sequence", spec_of("plain").config)
    smoothed = task.configured({"label_smoothing": 0.1})
    assert smoothed.schema(FAMILIES.get("bert")).names[-1] == "smoothing"


@pytest.mark.parametrize("way", often(("adversarial", "distillation"), "distillation"))
def test_smoothed_labels_go_with_a_further_term(backend, way):
    """With its weight 0 the loss is that without it; the labels are smoothed in both."""
    given, batch, spec = {}, batch_of("smoothed"), spec_of("smoothed")
    if way == "adversarial":
        given["adversarial"] = Adversarial("sift", weight=0.0)
    else:
        given["distillation"] = Distillation("a teacher", logits="mse", logits_weight=0.0)
        batch["teacher_logits"] = np.ones((4, 3), np.float32)
        schema = BatchSchema.of(spec.schema.fields, given["distillation"].fields)
        spec = dataclasses.replace(spec, schema=schema)
    engine = build_engine(backend, spec, plan_for(spec, method="full"), **given)
    ((trained, _),) = engine.fetch([engine.train_step([batch], 0.0)])
    ((plain, _),) = (one := engine_of(backend, "smoothed")).fetch([one.train_step([batch_of("smoothed")], 0.0)])
    assert trained == pytest.approx(plain, rel=1e-5)


def test_scale_invariant_training_and_isomax_exclude_each_other():
    with pytest.raises(InputError, match="another scale than they are predicted"):
        _check_perturbed(spec_of("isomax"), 0)
    _check_perturbed(spec_of("smoothed"), 0)


WRONG = {
    "label_smoothing: 1.0": "label_smoothing must be at least 0 and less than 1",
    "loss: isomx": "must be one of softmax, isomax; received 'isomx'. Nearest: isomax",
    "scale: 3.0": "scale belongs to loss: isomax",
    "loss: isomax, scale: 0.0": "scale must be greater than 0",
}


@pytest.mark.parametrize("options", WRONG)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(InputError) as caught:
        load_config("bert_sst2", [f"model.task_options={{{options}}}"])
    assert WRONG[options] in str(caught.value)


def test_a_folder_of_a_network_with_prototypes_keeps_them(tmp_path):
    from common.models.checkpoint import save_pretrained

    spec = spec_of("isomax")
    save_pretrained(tmp_path, spec, spec.arrays)
    config = ModelConfig(str(tmp_path), "sequence-classification", None, None, {}, WAYS["isomax"])
    again = load_model_spec(config, LABELS, VOCABULARY, 0, 0)
    assert_identical(again.arrays, spec.arrays)
    assert again.config["architectures"] == ["BertModel"]
