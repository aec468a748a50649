"""Layers in the place of a weight, of both backends: against the multiplied-out model, against each other, and with
adapters on them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.backend import load
from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.errors import InputError
from common.methods.merge import merged_model
from common.models.layers import LAYERS
from common.models.layers.kronecker import right_first
from common.models.layers.tensor_train import contracted
from common.models.structure import dense
from tests.support import (
    KINDS,
    ONE_LAYER,
    TARGETS,
    assert_near,
    build_engine,
    make_batch,
    nonzero_values,
    plan_for,
    tiny_spec,
)
from tests.tolerances import BERT_LOGITS_ABS, GRADIENT, MERGED_ABS, STEP_LOSS

EMBEDDING = {"bert": "*.word_embeddings", "gpt2": "wpe", "gpt2-classifier": "wte"}
CASES = {
    "kronecker": ("kronecker", {"factor": 8, "terms": 2}),
    "kronecker-wide": ("kronecker", {"shape": [8, 1]}),  # of which the left factors come first
    "tensor-train": ("tensor_train", {"order": 3, "rank": 2}),  # its cores are contracted one by one
    "tensor-train-matrix": ("tensor_train", {"order": 2, "share": 0.9}),  # its matrix is formed
}
EVERY = [
    pytest.param(case, kind, marks=() if index % len(KINDS) == number else pytest.mark.nightly)
    for index, case in enumerate(CASES)
    for number, kind in enumerate(KINDS)
]


def changed(case, kind, **entries):
    name, options = CASES[case]
    member = TRANSFORMS.get(name)
    given = read_options(member, {**options, "targets": ["all-linear", EMBEDDING[kind]]})
    return transformed(tiny_spec(kind, **entries), member, given)[0]


def one_layer(case, kind):
    return changed(case, kind, **ONE_LAYER[KINDS[kind][0]])


def logits(engine, kind, lengths=(9, 4, 6)):
    batch = make_batch(kind, lengths)
    if KINDS[kind][1].endswith("classification"):
        return engine.eval_step(batch).outputs["logits"]
    return engine.logits_at(batch, np.array(lengths, np.int32) - 1)


@pytest.mark.parametrize(("case", "kind"), EVERY)
def test_the_model_computes_what_its_multiplied_out_weights_compute(backend, case, kind):
    spec = changed(case, kind)
    ours, theirs = (logits(build_engine(backend, s, plan_for(s, (), "full")), kind) for s in (spec, dense(spec)))
    assert_near(ours, theirs, BERT_LOGITS_ABS, absolute=True)
    original = logits(build_engine(backend, tiny_spec(kind), plan_for(tiny_spec(kind), (), "full")), kind)
    assert np.abs(original - ours).max() > 1e-2  # the approximation is seen


def test_the_cases_take_every_way_of_computing():
    def ways(case, way):
        edits = changed(case, "bert").edits
        return {way(edit.module, edit.arguments) for edit in edits if edit.module.kind.matrix}

    assert ways("kronecker", right_first) == {True}
    assert ways("kronecker-wide", right_first) == {False}
    assert ways("tensor-train", contracted) == {True}
    assert ways("tensor-train-matrix", contracted) == {False}


@pytest.mark.parametrize(("case", "kind"), EVERY)
def test_gradients_follow_from_those_of_the_multiplied_out_weights(backend, case, kind):
    """The weight is linear in every single parameter, so that <dL/dp, v> = <dL/dW, W(p + v) - W(p)> for every v."""
    spec = one_layer(case, kind)
    plain = dense(spec)
    batch = [make_batch(kind, [7, 3, 5])]
    ours = build_engine(backend, spec, plan_for(spec, (), "full")).gradients(batch)
    theirs = build_engine(backend, plain, plan_for(plain, (), "full")).gradients(batch)
    random = np.random.default_rng(0)
    for edit in spec.edits:
        layer, gradient = LAYERS.get(edit.layer), theirs[f"{edit.path}.weight"].astype(np.float64)
        before = layer.dense(edit, spec.arrays)
        for name in edit.shapes().keys() - plain.shapes().keys():
            direction = random.standard_normal(spec.arrays[name].shape)
            moved = layer.dense(edit, {**spec.arrays, name: spec.arrays[name] + direction}) - before
            expected, size = np.vdot(gradient, moved), np.linalg.norm(gradient) * np.linalg.norm(moved)
            assert abs(np.vdot(ours[name], direction) - expected) <= GRADIENT * size, name


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("compile_", [False, pytest.param(True, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("case", "kind"), EVERY)
def test_both_backends_agree_in_gradients_and_in_the_losses_of_50_steps(case, kind, compile_):
    spec = one_layer(case, kind)
    plan = plan_for(spec, (), "full")
    batches = [[make_batch(kind, [7, 3, 5, 6], seed=seed)] for seed in range(4)]
    gradients, losses = [], []
    for name in ("pytorch", "mindspore"):
        engine = build_engine(load(name), spec, plan, compile=compile_ and name == "mindspore")
        gradients.append(engine.gradients(batches[0]))
        losses.append(engine.fetch([engine.train_step(batches[step % 4], 1e-3) for step in range(50)]))
    largest = max(np.abs(gradient).max() for gradient in gradients[0].values())
    for name, expected in gradients[0].items():
        difference = np.abs(gradients[1][name] - expected).max()
        assert difference <= GRADIENT * max(np.abs(expected).max(), 1e-3 * largest), name
    theirs, ours = (np.array(found)[:, 0] for found in losses)
    assert np.abs(ours - theirs).max() <= STEP_LOSS * theirs.max()
    assert theirs[-4:].mean() < 0.9 * theirs[:4].mean()


@pytest.mark.parametrize(("case", "kind"), EVERY)
def test_a_lora_adapter_on_it_is_refused_in_a_merge_and_merged_into_a_dense_model(backend, case, kind):
    spec = one_layer(case, kind)
    plan = plan_for(spec, [*TARGETS[kind], EMBEDDING[kind]], bias="all")
    engine = build_engine(backend, spec, plan)
    trained = {**nonzero_values(plan), **{p.name: spec.arrays[p.name] + 1 for p in plan.unfrozen}}
    engine.load_trainable({name: trained[name] for name in plan.shapes()})
    with pytest.raises(InputError, match=r"cannot take in an update.*Merge with --dense"):
        merged_model(plan, spec, trained)
    merged, errors = merged_model(plan, spec, trained, dense=True)
    assert set(errors) == {edit.path for edit in plan.edits}
    assert max(errors.values()) < 1e-7
    assert {name: array.shape for name, array in merged.arrays.items()} == merged.shapes()
    adapted = logits(engine, kind)
    found = logits(build_engine(backend, merged, plan_for(merged, (), "full")), kind)
    assert_near(found, adapted, MERGED_ABS * max(1.0, np.abs(adapted).max()), absolute=True)


@pytest.mark.parametrize("case", CASES)
def test_a_table_gives_the_rows_of_ids_in_either_backend(backend, case):
    """Also of the last row, and of ids that occur twice."""
    spec = one_layer(case, "bert")
    only = dataclasses.replace(spec, arrays={n: 0 * a if "layer." in n else a for n, a in spec.arrays.items()})
    ids = np.array([[59, 0, 59, 31]], np.int32)
    batch = {**make_batch("bert", [4]), "input_ids": ids}
    ours, theirs = (
        build_engine(backend, s, plan_for(s, (), "full")).eval_step(batch).outputs["logits"]
        for s in (only, dense(only))
    )
    assert_near(ours, theirs, BERT_LOGITS_ABS, absolute=True)
