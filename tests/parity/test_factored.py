"""Factored layers of both backends: against the multiplied-out model, against each other, and with adapters on them."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from common.backend import load
from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.errors import InputError
from common.methods.merge import merged_model
from common.models.structure import dense
from tests.support import (
    KINDS,
    ONE_LAYER,
    TARGETS,
    assert_all_near,
    assert_near,
    build_engine,
    make_batch,
    plan_for,
    tiny_spec,
)
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, MERGED_ABS, UPDATE

SVD = TRANSFORMS.get("svd")
EMBEDDING = {"bert": "*.word_embeddings", "gpt2": "wpe", "gpt2-classifier": "wte"}


def factored(kind, rank=4, **entries):
    options = read_options(SVD, {"rank": rank, "targets": ["all-linear", EMBEDDING[kind]]})
    return transformed(tiny_spec(kind, **entries), SVD, options)[0]


def one_layer(kind):
    return factored(kind, **ONE_LAYER[KINDS[kind][0]])


def plan_of(spec, kind, method):
    if method != "lora":
        return plan_for(spec, (), method)
    return plan_for(spec, [*TARGETS[kind], EMBEDDING[kind]], bias="all")


def batch_rows(batch, rows):
    return {name: array[rows] for name, array in batch.items()}


def logits(engine, kind, lengths=(9, 4, 6)):
    batch = make_batch(kind, lengths)
    if KINDS[kind][1].endswith("classification"):
        return engine.eval_step(batch).outputs["logits"]
    return engine.logits_at(batch, np.array(lengths, np.int32) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_factored_model_computes_what_its_product_computes(backend, kind):
    """The product is NumPy's, in float64, rounded once into a plain model."""
    spec = factored(kind)
    plain = dense(spec)
    ours, theirs = (logits(build_engine(backend, s, plan_for(s, (), "full")), kind) for s in (spec, plain))
    assert_near(ours, theirs, BERT_LOGITS_ABS, absolute=True)
    original = logits(build_engine(backend, tiny_spec(kind), plan_for(tiny_spec(kind), (), "full")), kind)
    assert np.abs(original - ours).max() > 1e-2  # the truncation is seen


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_both_backends_agree_in_logits_gradients_and_an_update(kind, method):
    spec = one_layer(kind)
    plan = plan_of(spec, kind, method)
    batch = make_batch(kind, [7, 3, 5, 6])
    backends = [batch_rows(batch, slice(0, 2)), batch_rows(batch, slice(2, 4))]
    found = {}
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan)
        start = engine.trainable()
        result = {"logits": logits(engine, kind), "gradients": engine.gradients(backends)}
        engine.fetch([engine.train_step(backends, 1e-2)])
        result["update"] = {key: array - start[key] for key, array in engine.trainable().items()}
        found[name] = result
    ours, theirs = found["mindspore"], found["pytorch"]
    assert_near(ours["logits"], theirs["logits"], BERT_LOGITS_ABS, absolute=True)
    largest = max(np.abs(gradient).max() for gradient in theirs["gradients"].values())
    for name, gradient in theirs["gradients"].items():
        difference = np.abs(ours["gradients"][name] - gradient).max()
        assert difference <= GRADIENT * max(np.abs(gradient).max(), 1e-3 * largest), name
    names = [name for name in plan.shapes() if ".first." in name or ".second." in name or "lora" in name]
    assert any(".first." in name for name in names) == (method == "full")
    moved = {name for name in names if np.abs(theirs["update"][name]).max() > 0}
    assert moved == set(names)
    for name in names:
        # Adam divides by the size of the gradient: where that is rounding, so is the direction.
        solid = np.abs(theirs["gradients"][name]) > 1e-3 * np.abs(theirs["gradients"][name]).max()
        error = np.abs(ours["update"][name] - theirs["update"][name])[solid].max()
        assert error <= UPDATE * np.abs(theirs["update"][name]).max(), (name, error)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_gradients_of_the_factors_follow_from_that_of_the_product(backend, kind):
    """With W = U V: dL/dU = dL/dW V^T and dL/dV = U^T dL/dW, from the multiplied-out model in float64."""
    spec = one_layer(kind)
    plain = dense(spec)
    batch = [make_batch(kind, [7, 3, 5])]
    ours = build_engine(backend, spec, plan_for(spec, (), "full")).gradients(batch)
    theirs = build_engine(backend, plain, plan_for(plain, (), "full")).gradients(batch)
    expected = {}
    for edit in spec.edits:
        first, second = (f"{edit.path}.{leaf}.weight" for leaf in ("first", "second"))
        gradient = theirs[f"{edit.path}.weight"].astype(np.float64)
        v, u = (spec.arrays[name].astype(np.float64) for name in (first, second))
        if edit.module.kind.lookup:
            expected |= {first: gradient @ u, second: gradient.T @ v}
        else:
            gradient = gradient.T if edit.module.kind.transposed else gradient
            expected |= {first: u.T @ gradient, second: gradient @ v.T}
    for name, value in expected.items():
        assert_near(ours[name], value, GRADIENT, what=name)


@pytest.mark.parametrize("compile_", [False, True])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_merged_adapter_computes_what_the_adapted_model_computes(backend, kind, compile_):
    if compile_ and backend.__name__.startswith("pytorch"):
        pytest.skip("torch.compile has its own tests")
    spec = one_layer(kind)
    plan = plan_of(spec, kind, "lora")
    engine = build_engine(backend, spec, plan, compile=compile_)
    adapted = logits(engine, kind)
    merged, _ = merged_model(plan, spec, engine.trainable())
    assert merged.edits != spec.edits
    for model in (merged, dense(merged)):
        found = logits(build_engine(backend, model, plan_for(model, (), "full"), compile=compile_), kind)
        assert_near(found, adapted, MERGED_ABS, absolute=True)


def test_merging_in_memory_is_refused_and_changes_nothing(backend):
    spec = one_layer("bert")
    plan = plan_of(spec, "bert", "lora")
    engine = build_engine(backend, spec, plan)
    before = logits(engine, "bert")
    with pytest.raises(InputError, match=r"query: a factored module has no single weight.*twinlora merge"):
        backend.merge(engine.model)
    assert_all_near({"logits": logits(engine, "bert")}, {"logits": before}, 0.0)


@pytest.mark.parametrize("method", ["lora", "head"])
def test_what_is_not_trained_stays_as_it_was(backend, method):
    spec = one_layer("bert")
    plan = plan_of(spec, "bert", method)
    engine = build_engine(backend, spec, plan)
    engine.fetch([engine.train_step([make_batch("bert", [5, 7])], 1e-2)])
    frozen = {name: shape for name, shape in spec.shapes().items() if name not in plan.shapes()}
    assert any(".first." in name for name in frozen)
    read = import_module(f"{backend.__name__}.rewrite").read_parameters(engine.model, frozen)
    for name, array in read.items():
        np.testing.assert_array_equal(array, spec.arrays[name], err_msg=name)
