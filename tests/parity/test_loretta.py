"""Tensor trains in the place of matrices: counts, contraction, replaced layers, files."""

from __future__ import annotations

import string

import numpy as np
import pytest

from common.artifacts.adapter import load as load_adapter
from common.artifacts.adapter import read_adapter
from common.artifacts.adapter import save as save_adapter
from common.config import adaptation_options
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import merged_model
from common.methods.trains import Train, core_parameters, factors, train_of
from common.models.modules import EMBEDDING, LAYER_NORM, LINEAR, ModuleSpec
from common.models.specs import ModelSpec
from tests.support import assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import BERT_LOGITS_ABS, MERGED_ABS

POOLER = ("*.pooler.dense",)


def deberta_base() -> ModelSpec:
    """The layers of DeBERTa-base with a classifier of two classes, whose queries, keys and values are one product."""
    hidden, inner, vocabulary = 768, 3072, 50265
    modules = [
        ModuleSpec("deberta.embeddings.word_embeddings", EMBEDDING, vocabulary, hidden, bias=False),
        ModuleSpec("deberta.embeddings.LayerNorm", LAYER_NORM, hidden, hidden),
    ]
    for layer in (f"deberta.encoder.layer.{index}" for index in range(12)):
        modules += [
            ModuleSpec(f"{layer}.attention.self.in_proj", LINEAR, hidden, 3 * hidden, bias=False),
            ModuleSpec(f"{layer}.attention.output.dense", LINEAR, hidden, hidden),
            ModuleSpec(f"{layer}.attention.output.LayerNorm", LAYER_NORM, hidden, hidden),
            ModuleSpec(f"{layer}.intermediate.dense", LINEAR, hidden, inner),
            ModuleSpec(f"{layer}.output.dense", LINEAR, inner, hidden),
            ModuleSpec(f"{layer}.output.LayerNorm", LAYER_NORM, hidden, hidden),
        ]
    modules += [ModuleSpec("deberta.pooler.dense", LINEAR, hidden, hidden), ModuleSpec("classifier", LINEAR, hidden, 2)]
    head = ("deberta.pooler.dense", "classifier")
    return ModelSpec("deberta", "sequence-classification", {}, tuple(modules), head, {})


def plan_of(spec, method, **options):
    found = METHODS.get(method)
    given = found.Options(method, **options)
    assert list(given.problems()) == []
    return found.plan(given, spec)


def test_sizes_are_factorised_as_in_the_paper_and_counted_to_the_unit():
    assert [factors(size) for size in (768, 384, 64, 8, 1)] == [(8, 8, 12), (8, 8, 6), (8, 8), (8,), (1,)]
    sizes = {(768, 64): 780, (64, 768): 780, (384, 64): 630, (768, 8): 580, (768, 768): 1080}
    assert {pair: train_of(*pair, 5).size for pair in sizes} == sizes
    square = train_of(768, 768, 5)
    assert (*square.inputs, *square.outputs) == (8, 8, 12, 12, 8, 8)
    assert sum(p.size for p in core_parameters("x", square, "x")) == 1080


def test_the_papers_totals_for_deberta_base_are_met_to_the_unit():
    adapters = plan_of(deberta_base(), "loretta_adp", targets=("*.output.dense",), replaced=POOLER)
    assert adapters.counts() == {
        "adapter": 24 * (780 + 64 + 780 + 768),
        "dense": 1080 + 768,
        "head": 1538,
        "layer_norm": 25 * 2 * 768,
        "total": 99_194,
    }
    updates = plan_of(
        deberta_base(), "loretta_rep", targets=("*.in_proj",), replaced=POOLER, factors=((8,), (8, 8, 4, 9))
    )
    assert updates.counts() == {
        "lora_A": 12 * 580,
        "lora_B": 12 * 585,
        "dense": 1848,
        "head": 1538,
        "layer_norm": 38_400,
        "total": 55_766,
    }


@pytest.mark.parametrize("pair", [(768, 64), (48, 97), (8, 24), (1, 5)])
def test_the_matrix_is_the_contraction_of_the_cores(pair):
    train = train_of(*pair, 5)
    rng = np.random.default_rng(0)
    cores = [rng.normal(size=shape) for shape in train.shapes()]
    bonds, modes = string.ascii_uppercase, string.ascii_lowercase
    terms = ",".join(bonds[k] + modes[k] + bonds[k + 1] for k in range(len(cores)))
    expected = np.einsum(f"{terms}->{modes[: len(cores)]}", *cores, optimize=True).reshape(pair)
    assert_near(train.matrix(cores), expected, 1e-12)


def test_a_rank_is_no_larger_than_a_bond_has_room_for():
    assert Train((8,), (4, 2), 100).ranks == (1, 8, 2, 1)


def test_entries_have_the_variance_of_the_paper():
    train = train_of(768, 64, 5)
    drawn = [[p.init.values(seed, p.name, p.shape) for p in core_parameters("x", train, "x")] for seed in range(40)]
    variances = [train.matrix(cores).var() for cores in drawn]
    assert 0.6 < np.mean(variances) * (768 + 64) < 1.6


def test_the_matrix_is_formed_where_that_takes_fewer_operations():
    assert train_of(768, 64, 5).by_cores
    square = train_of(64, 64, 40)
    counted = square.operations(512)
    assert counted["matrix"] < counted["cores"]
    assert not square.by_cores
    assert counted["matrix"] > 2 * 512 * 64 * 64


@pytest.mark.parametrize("rank", [2, 100])
def test_a_backend_contracts_either_way_to_the_product_with_the_matrix(backend, rank):
    spec = tiny_spec("bert")
    plan = plan_of(spec, "loretta_rep", targets=("*.query",), tensor_rank=rank, rank=16, norms=False)
    ways = {train.by_cores for edit in plan.edits for train in edit.arguments.trains().values()}
    assert ways == {rank == 2}
    rng = np.random.default_rng(0)
    values = {p.name: rng.normal(0, 0.5, p.shape).astype(np.float32) for edit in plan.edits for p in edit.parameters}
    engine, batch = build_engine(backend, spec, plan, values), make_batch("bert", [7, 4, 12])
    trained = engine.trainable()
    merged, _ = merged_model(plan, spec, trained)
    plain = build_engine(backend, merged, plan_for(merged, (), bias="all"), {})
    found, expected = (e.eval_step(batch).outputs["logits"] for e in (engine, plain))
    assert_near(found, expected, MERGED_ABS, absolute=True)
    base = build_engine(backend, spec, plan_for(spec, (), bias="all"), {}).eval_step(batch).outputs["logits"]
    assert np.abs(found - base).max() > 1e-3


def test_init_paper_does_not_start_as_the_base_model():
    spec = tiny_spec("bert")
    for method in ("loretta_adp", "loretta_rep"):
        values = plan_of(spec, method, targets=("*.query",), init="paper").initial_values(0)
        assert all(array.any() for name, array in values.items() if "core" in name)
        zero = [
            n for n, array in plan_of(spec, method, targets=("*.query",)).initial_values(0).items() if not array.any()
        ]
        assert len([name for name in zero if "core" in name]) == 2  # one in each of two layers


def test_a_replaced_layer_computes_with_the_train_and_is_merged_by_forming_it(backend, tmp_path):
    spec, batch = tiny_spec("bert"), make_batch("bert", [7, 4, 12])
    plan = plan_of(spec, "loretta_rep", targets=("*.query",), replaced=POOLER)
    engine = build_engine(backend, spec, plan, plan.initial_values(0))
    for _ in range(3):
        engine.train_step([batch], 3e-2)
    expected, trained = engine.eval_step(batch).outputs["logits"], engine.trainable()
    merged, errors = merged_model(plan, spec, trained)
    assert "bert.pooler.dense" in errors
    again = build_engine(backend, merged, plan_for(merged, (), bias="all"), {})
    assert_near(again.eval_step(batch).outputs["logits"], expected, BERT_LOGITS_ABS, absolute=True)
    backend.merge(engine.model)
    assert_near(engine.eval_step(batch).outputs["logits"], expected, BERT_LOGITS_ABS, absolute=True)
    backend.unmerge(engine.model)
    assert engine.eval_step(batch).outputs["logits"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("method", ["loretta_adp", "loretta_rep", "bottleneck"])
def test_a_folder_of_our_own_says_its_method_and_options_and_is_read_strictly(method, tmp_path):
    spec = tiny_spec("bert")
    changed = {"size": 4, "activation": "gelu"} if method != "loretta_rep" else {"alpha": 3.0}
    plan = plan_of(spec, method, targets=("*.output.dense",), **changed)
    values = {name: np.ones(shape, np.float32) for name, shape in plan.shapes().items()}
    save_adapter(tmp_path, plan, spec, values)
    settings, tensors, _ = read_adapter(tmp_path)
    section = METHODS.get(method).section(settings, {key: array.shape for key, array in tensors.items()})
    again = METHODS.get(method).plan(adaptation_options(section), spec)
    assert again.shapes() == plan.shapes()
    assert [edit.arguments for edit in again.edits] == [edit.arguments for edit in plan.edits]
    for name, array in load_adapter(tmp_path, again, spec).items():
        assert array.tobytes() == values[name].tobytes()
    other = {"activation": "relu", "size": 4} if method != "loretta_rep" else {"alpha": 16.0}
    with pytest.raises(InputError, match="the adapter has"):
        load_adapter(tmp_path, plan_of(spec, method, targets=("*.output.dense",), **other), spec)


def test_what_does_not_fit_is_refused_by_entry():
    for options in ({}, {"targets": ("a",), "tensor_rank": 0}, {"targets": ("a",), "factors": ((2, 6), (3, 4))}):
        assert list(METHODS.get("loretta_adp").Options("loretta_adp", **options).problems())
    spec = tiny_spec("bert")
    with pytest.raises(InputError, match="output layer"):
        plan_of(spec, "loretta_adp", targets=("*.query",), replaced=("classifier",))
    with pytest.raises(InputError, match=r"adaptation\.replaced: 'nothing' matches none"):
        plan_of(spec, "loretta_adp", targets=("*.query",), replaced=("nothing",))


@pytest.mark.parametrize("method", ["loretta_adp", "loretta_rep"])
def test_factors_of_a_size_that_no_matrix_has_are_refused(method):
    spec = tiny_spec("bert")
    width = next(module.in_features for module in spec.modules if module.path.endswith("query"))
    plan_of(spec, method, targets=("*.query",), factors=((width // 2, 2),))
    with pytest.raises(InputError, match=r"received \[3, 5, 7\], whose product is 105"):
        plan_of(spec, method, targets=("*.query",), factors=((width // 2, 2), (3, 5, 7)))
