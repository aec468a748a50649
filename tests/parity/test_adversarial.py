"""Scale-invariant fine-tuning: perturbation, loss and gradients, in both backends and by `transformers`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.backend.adversarial import Adversarial, initial_perturbation
from common.config import from_yaml, load_config, to_yaml
from common.config.schema import ModelConfig
from common.errors import InputError
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.loading import load_model_spec
from common.random import normal
from common.tasks.example import example_batch
from tests.support import assert_near, build_engine, plan_for
from tests.tolerances import GRADIENT

CLASSES, NUMBERS = "sequence-classification", "regression"
SIFT = Adversarial("sift", weight=3.0, initial=0.1, learning_rate=0.05)
PERTURBED = tuple(family.name for family in FAMILIES if family.EMBEDDING_NORM)
CASES = [("bert", CLASSES), ("bert", NUMBERS), ("deberta-v2", CLASSES)]
CASES += [
    pytest.param(name, CLASSES, marks=pytest.mark.nightly) for name in PERTURBED if name not in ("bert", "deberta-v2")
]


def spec_of(task=CLASSES, family="bert", dropout=0.0):
    entries = {"model_type": family, "vocab_size": 60, "initializer_range": 0.3, **FAMILIES.get(family).tiny()}
    labels = ("a", "b", "c") if task == CLASSES else None
    padding = FAMILIES.get(family).DEFAULTS.get("pad_token_id") or 0
    spec = load_model_spec(ModelConfig(None, task, None, dropout, entries), labels, 60, padding, 0)
    shifted = {name: array + normal(0, f"shift.{name}", array.shape, 0.1) for name, array in spec.arrays.items()}
    return dataclasses.replace(spec, arrays=shifted)


def engine_of(name, spec, **given):
    return build_engine(load(name), spec, plan_for(spec, method="full"), {}, **given)


def assert_gradients(actual, expected):
    largest = max(np.abs(array).max() for array in expected.values())
    for name, array in expected.items():
        assert np.abs(actual[name] - array).max() <= GRADIENT * largest, name


def divergence(p, q):
    """Symmetric, with the gradient that the authors' program takes."""
    fixed = p.detach(), q.detach()
    return (fixed[1].exp() * (fixed[1] - p) + fixed[0].exp() * (fixed[0] - q)).sum(-1)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_loss_and_gradients_are_those_of_the_published_algorithm_on_the_network_of_transformers(tmp_path):
    import torch
    from torch.nn import functional
    from transformers import BertForSequenceClassification

    spec = spec_of()
    save_pretrained(tmp_path, spec, spec.arrays)
    network = BertForSequenceClassification.from_pretrained(tmp_path).eval()
    batch = example_batch(spec, [9, 4, 7], "sift")
    inputs = {name: torch.from_numpy(array).long() for name, array in batch.items() if name != "labels"}
    labels = torch.from_numpy(batch["labels"]).long()

    def outputs(delta=None):
        def perturb(module, given):
            return (functional.layer_norm(given[0].detach(), (16,), eps=1e-7) + delta,)

        hook = None if delta is None else network.bert.embeddings.LayerNorm.register_forward_pre_hook(perturb)
        found = network(**inputs).logits.log_softmax(-1)
        if hook:
            hook.remove()
        return found

    start = torch.from_numpy(initial_perturbation(SIFT, 0, 0, 0, (3, 9, 16))).requires_grad_()
    clean = outputs()
    (gradient,) = torch.autograd.grad(divergence(outputs(start), clean.detach()).sum(), start)
    delta = start.detach() + SIFT.learning_rate * gradient / (1e-6 + gradient.abs().amax(-1, keepdim=True))
    apart = divergence(outputs(delta), clean).mean()
    loss = functional.nll_loss(clean, labels) + SIFT.weight * apart
    loss.backward()
    assert apart.item() > 1e-4
    expected = {
        name: parameter.grad.numpy() for name, parameter in network.named_parameters() if parameter.grad is not None
    }
    for name in ("pytorch", "mindspore"):
        engine = engine_of(name, spec, adversarial=SIFT)
        assert_gradients(engine.gradients([batch]), expected)
        [(total, _)] = engine.fetch([engine.train_step([batch], 0.0)])
        assert total / 3 == pytest.approx(loss.item(), rel=GRADIENT)
        plain = functional.nll_loss(clean, labels, reduction="sum").item()
        assert engine.eval_step(batch).loss_sum == pytest.approx(plain, rel=GRADIENT)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize(("family", "task"), CASES)
def test_both_backends_take_the_same_steps_with_dropout(family, task):
    spec = spec_of(task, family, dropout=0.1)
    batches = [example_batch(spec, [9, 4, 7], f"sift {part}") for part in range(2)]
    found = []
    for name in ("pytorch", "mindspore"):
        engine = engine_of(name, spec, adversarial=SIFT)
        found.append(engine.fetch([engine.train_step(batches, 1e-3) for _ in range(3)]))
    assert_near(np.array(found[1]), np.array(found[0]), GRADIENT)
    plain = engine_of("pytorch", spec)
    assert found[0][0][0] > plain.fetch([plain.train_step(batches, 1e-3)])[0][0] * 1.0001


@pytest.mark.needs_mindspore
@pytest.mark.nightly
def test_compiled_steps_are_those_of_pynative():
    spec = spec_of(dropout=0.1)
    batch = example_batch(spec, [9, 4, 7], "sift")
    found = []
    for compiled in (True, False):
        engine = engine_of("mindspore", spec, adversarial=SIFT, compile=compiled)
        found.append(engine.fetch([engine.train_step([batch], 1e-3) for _ in range(3)]))
    assert_near(np.array(found[1]), np.array(found[0]), GRADIENT)


@pytest.mark.needs_pytorch
def test_the_direction_is_the_gradient_that_finite_differences_give():
    import torch

    from pytorch_impl import build_model
    from pytorch_impl.adversarial import apart

    spec = spec_of()
    network = build_model(spec, "cpu").double()
    batch = example_batch(spec, [9, 4], "differences")
    inputs = {name: torch.from_numpy(array).long() for name, array in batch.items()}
    start = torch.from_numpy(initial_perturbation(SIFT, 3, 0, 0, (2, 9, 16))).double().requires_grad_()
    distance = apart(network, inputs, start, "squared")
    (gradient,) = torch.autograd.grad(distance, start)
    for place in ((0, 0, 3), (0, 8, 15), (1, 2, 7)):
        values = []
        for step in (1e-5, -1e-5):
            moved = start.detach().clone()
            moved[place] += step
            values.append(apart(network, inputs, moved, "squared").item())
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[place].item(), rel=1e-5)
    assert (gradient[1, 4:] == 0).all(), "padding changes nothing"


def test_without_a_perturbation_the_second_term_vanishes(backend):
    spec = spec_of()
    batch = example_batch(spec, [9, 4, 7], "sift")
    still = Adversarial("sift", weight=100.0, initial=0.0, learning_rate=0.0)
    with_term, without = (
        build_engine(backend, spec, plan_for(spec, method="full"), {}, **given)
        for given in ({"adversarial": still}, {})
    )
    losses = [engine.fetch([engine.train_step([batch], 0.0)])[0][0] for engine in (with_term, without)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_the_perturbation_is_normal_clipped_and_a_function_of_its_step():
    wanted = Adversarial("sift")
    found = initial_perturbation(wanted, 1, 2, 0, (4, 64, 128))
    assert np.abs(found).max() <= np.float32(0.02)
    assert found.std() == pytest.approx(0.0094, abs=3e-4)  # of a normal variable clipped at two deviations
    assert np.array_equal(found, initial_perturbation(wanted, 1, 2, 0, (4, 64, 128)))
    assert not np.array_equal(found, initial_perturbation(wanted, 1, 3, 0, (4, 64, 128)))


def test_the_section_is_read_checked_and_written():
    config = load_config("bert_sst2", ["training.adversarial={method: sift}"])
    assert config.training.adversarial == Adversarial("sift", 5.0, 1e-4, 1e-2)
    assert from_yaml(to_yaml(config)) == config
    assert "adversarial" not in to_yaml(load_config("bert_sst2"))
    refused = {
        "training.adversarial={weight: 2.0}": "method must be sift",
        "training.adversarial={method: sift, learning_rate: -1.0}": "learning_rate must be 0 or more",
        "training.adversarial={method: vat}": "must be one of|none",
    }
    for override, message in refused.items():
        with pytest.raises(InputError, match=message):
            load_config("bert_sst2", [override])
    with pytest.raises(InputError, match=r"is for the tasks regression, sequence-classification; received model\.task"):
        load_config("bert_mlm", ["training.adversarial={method: sift}"])
    with pytest.raises(InputError, match="exclude each other"):
        load_config("bert_sst2", ["training.adversarial={method: sift}", "training.shard=true"])


def test_networks_without_a_norm_behind_their_embeddings_are_refused():
    from common.training.assembly import _check_perturbed

    with pytest.raises(InputError, match=r"before their norm, which the families .*bert.* have; this is a gpt2 model"):
        _check_perturbed(spec_of(family="gpt2"), 0)
    with pytest.raises(InputError, match="virtual tokens"):
        _check_perturbed(spec_of(), 4)
    _check_perturbed(spec_of(), 0)
