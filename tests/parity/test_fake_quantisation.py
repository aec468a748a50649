"""QAT and DiffQ in both backends: what the layers compute and their gradients against float64, training, and
folding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.dropout import step_key
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_model, refuse_unmergeable
from common.methods.plan import Plan
from common.models.structure import dense
from common.parity.cases import Host
from common.parity.suites.subjects import drawn, pairs
from common.quantisation import pseudo
from common.quantisation.fake import RANGE, faked, observing
from tests.support import (
    KINDS,
    ONE_LAYER,
    assert_near,
    build_engine,
    make_batch,
    plan_for,
    tiny_spec,
)
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, STEP_LOSS

WORDS = ("bilstm-cnn", "cnn-classifier", "densenet-cnn", "densenet-dsa", "han", "rnn", "seq2seq-lstm", "transformer")
QAT, DIFFQ = METHODS.get("qat"), METHODS.get("diffq")


def one_layer(kind="bert", **entries):
    return tiny_spec(kind, **{**ONE_LAYER[KINDS[kind][0]], **entries})


def plan_of(spec, method, **options):
    return plan_for(spec, (), method, **options)


def values_of(plan):
    return plan.initial_values(0)


def engine_of(backend, spec, plan, **given):
    return build_engine(backend, spec, plan, values_of(plan), **given)


def with_weights(spec, change):
    """The plain model with every quantised weight as ``change`` makes it."""
    return dataclasses.replace(spec, arrays={**spec.arrays, **change})


def outputs(engine, kind="bert"):
    return engine.eval_step(make_batch(kind, [9, 4, 6])).outputs["logits"]


def test_by_default_every_linear_layer_convolution_and_embedding_but_the_head_is_quantised():
    spec = one_layer()
    plan = plan_of(spec, "qat")
    wanted = [m.path for m in spec.modules if (m.kind.matrix or m.kind.lookup) and m.path not in spec.head]
    assert [edit.path for edit in plan.edits] == wanted
    assert set(plan.shapes()) > set(spec.shapes())  # everything is trained
    assert {p.component for edit in plan.edits for p in edit.parameters} == {RANGE}


def test_what_the_output_shares_is_left_alone():
    spec = one_layer("gpt2")
    assert "transformer.wte" not in [edit.path for edit in plan_of(spec, "qat").edits]
    with pytest.raises(InputError, match="matches none"):
        QAT.plan(QAT.Options("qat", targets=("wte",)), spec)


@pytest.mark.parametrize(("kind", "bits"), [("bert", 3), pytest.param("gpt2-classifier", 8, marks=pytest.mark.nightly)])
def test_weights_are_computed_with_as_integers_and_differentiated_as_if_they_were_not(backend, kind, bits):
    """The gradient of a quantised weight is that of a plain model with that weight, and so are the outputs."""
    spec = one_layer(kind)
    plan = plan_of(spec, "qat", bits=bits, activation_bits=None)
    weights = {f"{e.path}.weight": faked(e.module, spec.arrays[f"{e.path}.weight"], bits) for e in plan.edits}
    plain = with_weights(spec, weights)
    batch = [make_batch(kind, [7, 3, 5])]
    ours, theirs = engine_of(backend, spec, plan), build_engine(backend, plain, plan_for(plain, (), "full"))
    assert_near(outputs(ours, kind), outputs(theirs, kind), BERT_LOGITS_ABS, absolute=True)
    found, expected = ours.gradients(batch), theirs.gradients(batch)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        assert np.abs(found[name] - gradient).max() <= GRADIENT * max(np.abs(gradient).max(), 1e-3 * largest), name


def quantised_input(x, seen, bits):
    most = np.float32(2 ** (bits - 1) - 1)
    scale = np.float32(seen) / most
    return np.clip(np.rint(x / scale), -most, most) * scale


def layer_of(backend, spec, path):
    """The wrapping layer of an engine's model."""
    import importlib

    return importlib.import_module(f"{backend.__name__}.rewrite").adapters(spec)[path]


def called(backend, layer, x, training, upstream=None):
    """What a wrapping layer computes, or the gradient by x."""
    if backend.__name__ == "pytorch_impl":
        import torch

        layer.train(training)
        given = torch.from_numpy(np.array(x)).requires_grad_()
        y = layer(given)
        if upstream is None:
            return y.detach().numpy()
        (y * torch.from_numpy(np.array(upstream))).sum().backward()
        return given.grad.numpy()
    import mindspore as ms

    layer.set_train(training)
    if upstream is None:
        return layer(ms.Tensor(np.array(x))).asnumpy()
    factor = ms.Tensor(np.array(upstream))
    return ms.grad(lambda given: (layer(given) * factor).sum())(ms.Tensor(np.array(x))).asnumpy()


def test_the_range_is_a_moving_average_in_training_and_stays_in_evaluation(backend):
    spec = one_layer()
    plan = plan_of(spec, "qat", bits=8, decay=0.75)
    engine = engine_of(backend, spec, plan)
    path = next(edit.path for edit in plan.edits if edit.path.endswith("query"))
    layer = layer_of(backend, engine.model, path)
    inputs = [np.random.default_rng(n).standard_normal((5, 16)).astype(np.float32) * (n + 1) for n in range(3)]
    weight = faked(plan.edits[0].module, spec.arrays[f"{path}.weight"], 8).astype(np.float64)
    seen = None
    for x in inputs:
        largest = np.abs(x).max()
        seen = largest if seen is None else 0.75 * seen + 0.25 * largest
        y = called(backend, layer, x, True)
        expected = quantised_input(x, seen, 8).astype(np.float64) @ weight.T + spec.arrays[f"{path}.bias"]
        assert_near(y, expected, 1e-5, absolute=True)
    g = np.random.default_rng(9).standard_normal(y.shape).astype(np.float32)
    before = engine.trainable()[f"{path}.{RANGE}"]
    found = called(backend, layer, 10 * inputs[0], False, g)  # of which most is clamped
    assert_near(found, g.astype(np.float64) @ weight, GRADIENT)
    assert engine.trainable()[f"{path}.{RANGE}"] == before == pytest.approx(seen, rel=1e-6)


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_observed_ranges_are_the_largest_of_all_batches_in_either_backend():
    """Of MindSpore in a compiled graph, as calibration runs it; the model computes what it did."""
    spec = one_layer()
    edits = tuple(observing(module) for module in spec.modules if module.kind.matrix)
    plan = Plan("full", edits, (), (), "checkpoint")
    found = []
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan, values_of(plan), compile=True if name == "mindspore" else None)
        each = [engine.eval_step(make_batch("bert", [9, 4], seed=seed)).outputs["logits"] for seed in range(3)]
        found.append((each, engine.trainable()))
    plain = build_engine(load("pytorch"), spec, plan_for(spec, (), "full"))
    expected = [plain.eval_step(make_batch("bert", [9, 4], seed=seed)).outputs["logits"] for seed in range(3)]
    for each, ranges in found:
        assert_near(np.array(each), np.array(expected), BERT_LOGITS_ABS, absolute=True)
        assert min(array[0] for array in ranges.values()) > 0
        for name, array in ranges.items():
            assert_near(array, found[0][1][name], 1e-5, what=name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_activation_that_is_not_finite_is_not_hidden_by_quantisation(backend, value):
    spec = one_layer()
    plan = plan_of(spec, "qat")
    layer = layer_of(
        backend, engine_of(backend, spec, plan).model, next(e.path for e in plan.edits if "query" in e.path)
    )
    x = np.ones((2, 16), np.float32)
    called(backend, layer, x, True)
    x[1, 3] = value
    assert not np.isfinite(called(backend, layer, x, False)[1]).any()


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("method", ["qat", pytest.param("diffq", marks=pytest.mark.nightly)])
def test_both_backends_agree_in_the_losses_of_20_steps(method, compile_):
    """Of QAT the weights alone: an activation on the edge between two integers goes to either by a rounding."""
    spec = one_layer()
    options = {"activation_bits": None, "bits": 4} if method == "qat" else {"penalty": 100.0, "rate": 10.0}
    plan = plan_of(spec, method, **options)
    batches = [[make_batch("bert", [7, 3, 5, 6], seed=seed)] for seed in range(4)]
    losses, states = [], []
    for name in ("pytorch", "mindspore"):
        engine = engine_of(load(name), spec, plan, compile=compile_ and name == "mindspore")
        losses.append(engine.fetch([engine.train_step(batches[step % 4], 1e-3) for step in range(20)]))
        states.append(engine.trainable())
    theirs, ours = (np.array(found)[:, 0] for found in losses)
    assert np.abs(ours - theirs).max() <= STEP_LOSS * theirs.max() * (10 if method == "qat" else 1)
    assert theirs[-4:].mean() < theirs[:4].mean()
    for name in (parameter.name for edit in plan.edits for parameter in edit.parameters):
        assert_near(states[1][name], states[0][name], 1e-3, what=name)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("method", ["qat", "diffq"])
@pytest.mark.parametrize("family", ["textcnn", *(pytest.param(name, marks=pytest.mark.nightly) for name in WORDS)])
def test_both_backends_agree_in_networks_that_were_converted(family, method, compile_):
    """Of which tables and convolutions are quantised too."""
    task = next(task for name, task in pairs() if name == family)
    subject = drawn(family, task, METHODS.get(method).example(()), steps=3)
    found = []
    for name in ("pytorch", "mindspore"):
        host = Host(name, load(name), load(name).device.select("cpu"), compile=compile_ and name == "mindspore")
        engine = subject.engine(host)[1]
        handles = [engine.train_step(list(step), 1e-3) for step in subject.steps]
        found.append(np.array([loss for loss, _ in engine.fetch(handles)]))
    assert_near(found[1], found[0], STEP_LOSS)


@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_qat_run_folds_into_integers_that_compute_the_same(backend, compile_):
    spec = one_layer()
    plan = plan_of(spec, "qat", bits=4)
    engine = engine_of(backend, spec, plan, compile=compile_ and backend.__name__ == "mindspore_impl")
    for seed in range(3):
        engine.train_step([make_batch("bert", [7, 3, 5, 6], seed=seed)], 1e-3)
    trained = engine.trainable()
    merged, _ = merged_model(plan, spec, trained)
    assert {edit.path for edit in merged.edits} == {edit.path for edit in plan.edits}
    assert merged.bytes() < 0.4 * spec.bytes()
    bias = dataclasses.replace(plan_for(merged, (), "bitfit"), head=())
    found = outputs(build_engine(backend, merged, bias, {}))
    # one activation that a rounding moves to the next integer moves the outputs by as much
    assert np.abs(found - outputs(engine)).max() <= 0.02 * np.abs(found).max()
    plain = dense(merged)
    for edit in plan.edits:
        weight = faked(edit.module, trained[f"{edit.path}.weight"], 4)
        assert np.abs(plain.arrays[f"{edit.path}.weight"] - weight).max() == 0.0


def test_a_qat_run_without_a_step_is_not_folded():
    spec = one_layer()
    plan = plan_of(spec, "qat")
    with pytest.raises(InputError, match="never seen in training"):
        merged_model(plan, spec, {**spec.arrays, **values_of(plan)})
    with pytest.raises(InputError, match="no form as a plain weight"):
        refuse_unmergeable(plan.edits, spec.shared, QAT.mergeable, in_memory=True)


# DiffQ


def noisy(spec, plan, key):
    """Every quantised weight with the noise of ``key``, in float64."""
    found = {}
    for edit in plan.edits:
        weight = spec.arrays[f"{edit.path}.weight"].astype(np.float64)
        groups = edit.arguments.groups
        logits = np.full(groups.count(weight.size), groups.logit(plan.options.initial))
        step = np.repeat((weight.max() - weight.min()) / (2.0 ** groups.bits(logits) - 1), groups.size)
        noise = pseudo.noise(edit.path, key, weight.shape).astype(np.float64)
        found[f"{edit.path}.weight"] = weight + step[: weight.size].reshape(weight.shape) * noise / 2
    return found


def test_the_noise_is_that_of_numpy_and_the_bits_get_the_gradient_of_the_formula(backend):
    """d loss / d l = sum over the group of g n / 2 times the derivative of r / (2^b - 1), beside the penalty's."""
    spec = one_layer()
    plan = plan_of(spec, "diffq", penalty=0.0, initial=3.0)
    batch = make_batch("bert", [7, 3, 5])
    plain = with_weights(spec, {n: a.astype(np.float32) for n, a in noisy(spec, plan, step_key(0, 0, 0)).items()})
    theirs = build_engine(backend, plain, plan_for(plain, (), "full"), max_grad_norm=None)
    gradients = theirs.gradients([batch])
    loss = theirs.fetch([theirs.train_step([batch], 0.0)])[0][0]
    engine = engine_of(backend, spec, plan, max_grad_norm=None)
    handle = engine.fetch([engine.train_step([batch], 0.0)])[0]
    assert handle[0] == pytest.approx(loss, rel=1e-5)
    moments = engine.state()
    squares = sum((gradient.astype(np.float64) ** 2).sum() for gradient in gradients.values())
    for edit in plan.edits:
        name, groups = edit.parameters[0].name, edit.arguments.groups
        weight = spec.arrays[f"{edit.path}.weight"].astype(np.float64)
        share = 1 / (1 + np.exp(-groups.logit(3.0)))
        levels, slope = 2.0**3 - 1, 2.0**3 * np.log(2)
        down = -(weight.max() - weight.min()) * slope / levels**2 * (groups.most - groups.least) * share * (1 - share)
        each = gradients[f"{edit.path}.weight"] * pseudo.noise(edit.path, step_key(0, 0, 0), weight.shape) / 2
        flat = np.pad(each.reshape(-1), (0, -each.size % groups.size)).reshape(-1, groups.size)
        expected = flat.sum(1) * down
        squares += (expected**2).sum()
        assert_near(moments[f"exp_avg.{name}"] / 0.1, expected, 1e-3, what=name)  # the first moment is a tenth of it
    assert handle[1] == pytest.approx(np.sqrt(squares), rel=1e-4)


@pytest.mark.nightly
def test_the_penalty_is_part_of_the_gradient(backend):
    spec = one_layer()
    batch = [make_batch("bert", [7, 3, 5])]
    found = {}
    for penalty in (0.0, 50.0):
        plan = plan_of(spec, "diffq", penalty=penalty)
        engine = engine_of(backend, spec, plan, max_grad_norm=None)
        engine.train_step(batch, 0.0)
        found[penalty] = engine.state()
    for edit in plan.edits:
        name, groups = edit.parameters[0].name, edit.arguments.groups
        logits = values_of(plan)[name]
        expected = 50.0 * groups.slope(logits, int(np.prod(edit.module.kind.weight(edit.module))))
        added = (found[50.0][f"exp_avg.{name}"] - found[0.0][f"exp_avg.{name}"]) / 0.1
        assert_near(added, expected, 1e-3, what=name)


@pytest.mark.parametrize("kind", ["bert", pytest.param("gpt2-classifier", marks=pytest.mark.nightly)])
def test_evaluation_uses_rounded_bits_and_merging_gives_those_weights(backend, kind):
    spec = one_layer(kind)
    plan = plan_of(spec, "diffq", initial=3.3)
    engine = engine_of(backend, spec, plan)
    trained = engine.trainable()
    merged, errors = merged_model(plan, spec, trained)
    assert set(errors) == {edit.path for edit in plan.edits}
    assert min(errors.values()) > 0.01  # three bits
    found = outputs(build_engine(backend, merged, plan_for(merged, (), "full")), kind)
    assert_near(outputs(engine, kind), found, BERT_LOGITS_ABS, absolute=True)
    report = DIFFQ.findings(plan, trained)
    assert report["mean_bits"] == 3.0
    assert report["megabytes"] < 0.12 * report["megabytes_float32"]


@pytest.mark.nightly
def test_a_higher_penalty_leaves_fewer_bits(backend):
    spec = one_layer()
    batches = [[make_batch("bert", [7, 3, 5, 6], seed=seed)] for seed in range(4)]
    bits = []
    for penalty in (0.0, 100.0, 1e4):
        plan = plan_of(spec, "diffq", penalty=penalty, rate=30.0)
        engine = engine_of(backend, spec, plan)
        for step in range(20):
            engine.train_step(batches[step % 4], 1e-3)
        bits.append(DIFFQ.findings(plan, engine.trainable())["mean_bits"])
    assert bits[0] > bits[1] >= bits[2] or bits[0] >= bits[1] > bits[2]
    assert bits[2] < 7
