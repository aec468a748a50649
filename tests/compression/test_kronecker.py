"""Kronecker products against NumPy: exact recovery, errors, shapes and counts, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.compression.kronecker import candidates, nearest
from common.config.schema import ModelConfig
from common.errors import InputError
from common.models import FAMILIES
from common.models.checkpoint import save_pretrained
from common.models.layers.kronecker import MEMBER as LAYER
from common.models.layers.kronecker import KroneckerArguments, right_first
from common.models.loading import load_model_spec
from common.models.modules import LINEAR, ModuleSpec
from common.models.structure import dense
from tests.support import assert_identical, assert_near, model_config, tiny_spec

KRONECKER = TRANSFORMS.get("kronecker")


def apply(spec, **options):
    return transformed(spec, KRONECKER, read_options(KRONECKER, options))


def product(seed, *shapes):
    random = np.random.default_rng(seed)
    return sum(np.kron(random.standard_normal(left), random.standard_normal(right)) for left, right in shapes)


@pytest.mark.parametrize("terms", [1, 3])
def test_a_sum_of_products_is_found_again_exactly(terms):
    matrix = product(0, *[((6, 8), (4, 2))] * terms)
    found = nearest(matrix, 4, 2, terms)
    again = sum(np.kron(left, right) for left, right in zip(found.left, found.right, strict=True))
    assert_near(again, matrix, 1e-13)
    assert found.error < 1e-13
    sizes = [(np.linalg.norm(left), np.linalg.norm(right)) for left, right in zip(found.left, found.right, strict=True)]
    assert all(left == pytest.approx(right) for left, right in sizes)


def test_no_other_product_is_nearer():
    random = np.random.default_rng(1)
    matrix = random.standard_normal((12, 10))
    found = nearest(matrix, 3, 2, 1)
    best = np.linalg.norm(matrix - np.kron(found.left[0], found.right[0]))
    assert found.error * found.norm == pytest.approx(best, rel=1e-12)
    left, right = random.standard_normal((4, 5)), random.standard_normal((3, 2))
    blocks = matrix.reshape(4, 3, 5, 2)
    for _ in range(200):  # alternating least squares, from another start
        left = np.einsum("opij,pj->oi", blocks, right) / np.vdot(right, right)
        right = np.einsum("opij,oi->pj", blocks, left) / np.vdot(left, left)
    assert np.linalg.norm(matrix - np.kron(left, right)) >= best * (1 - 1e-12)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_network_of_products_is_given_back_in_either_weight_layout(kind, tmp_path):
    spec = tiny_spec(kind)
    table = {"bert": "bert.embeddings.word_embeddings", "gpt2": "transformer.wpe"}[kind]
    arrays = dict(spec.arrays)
    for module in spec.modules:
        if module.kind.matrix and module.path not in spec.head and not module.tied_to:
            matrix = product(len(module.path), ((module.out_features // 2, module.in_features // 4), (2, 4)))
            arrays[f"{module.path}.weight"] = (matrix.T if module.kind.transposed else matrix).astype(np.float32)
    rows = len(arrays[f"{table}.weight"])
    arrays[f"{table}.weight"] = product(3, ((rows, 2), (1, 8))).astype(np.float32)
    spec = dataclasses.replace(spec, arrays=arrays)
    changed, report = apply(spec, factor=8, targets=["all-linear", table])
    assert report.error < 1e-6
    again = dense(changed)
    for name, array in arrays.items():
        assert_near(again.arrays[name], array, 1e-6, what=name)
    assert report.after == changed.parameter_count() == sum(array.size for array in changed.arrays.values())
    save_pretrained(tmp_path, changed, changed.arrays)
    loaded = load_model_spec(model_config(kind, str(tmp_path)), ("class0", "class1", "class2"), 60, 0, 0)
    assert_identical(loaded.arrays, changed.arrays)
    assert loaded.edits == changed.edits


def test_errors_are_those_of_the_multiplied_out_weights_and_fall_with_every_term():
    spec = tiny_spec("bert")
    errors = []
    for terms in (1, 2, 3):
        changed, report = apply(spec, factor=8, terms=terms, targets=["*.query", "*.word_embeddings"])
        plain = dense(changed)
        for module in report.modules:
            weight = spec.arrays[f"{module.path}.weight"]
            lost = np.linalg.norm(plain.arrays[f"{module.path}.weight"] - weight) / np.linalg.norm(weight)
            assert module.error == pytest.approx(lost, rel=1e-5)
        errors.append(report.error)
    assert errors == sorted(errors, reverse=True)


def test_a_search_takes_the_shape_of_the_smallest_error():
    spec = tiny_spec("bert")
    _, searched = apply(spec, factor=8, search=True, targets=["*.query"])
    errors = [apply(spec, shape=[o, 8 // o], targets=["*.query"])[1].modules for o in (1, 2, 4, 8)]
    for index, module in enumerate(searched.modules):
        assert module.error == min(found[index].error for found in errors)


def test_bert_base_with_a_uniform_factor_of_8_has_14_138_128_parameters():
    """14.14 million, word embeddings among them: Tahaei et al. give 14.3. Counted from shapes, before anything is
    built."""
    bert = FAMILIES.get("bert")
    modules = [*bert.backbone(bert.DEFAULTS).modules, ModuleSpec("bert.pooler.dense", LINEAR, 768, 768)]
    assert sum(math.prod(shape) for module in modules for shape in module.shapes().values()) == 109_482_240
    after = 0
    for module in modules:
        if module.kind.matrix or module.path.endswith("word_embeddings"):
            [arguments] = candidates(module, read_options(KRONECKER, {"factor": 8}))
            edit = LAYER.edit(module, arguments)
            after += sum(parameter.size for parameter in edit.parameters)
            shapes = list(edit.shapes().values())
            if module.path.endswith("query"):
                assert shapes == [(1, 384, 192), (1, 2, 4), (768,)]
            if module.kind.lookup:
                assert shapes == [(30522, 1, 96), (1, 8, 1)]
        else:
            after += sum(math.prod(shape) for shape in module.shapes().values())
    assert after == 14_138_128


@pytest.mark.parametrize(("sizes", "right", "first"), [((16, 16), (2, 4), True), ((16, 16), (8, 1), False)])
def test_the_factor_that_makes_the_smaller_middle_comes_first(sizes, right, first):
    module = ModuleSpec("m", LINEAR, *sizes)
    assert right_first(module, KroneckerArguments(*right)) is first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"factor is one of two choices.*received none"),
        ({"factor": 8, "shape": [2, 4]}, r"give exactly one; received both"),
        ({"factor": 1}, r"factor must be greater than 1; received 1"),
        ({"shape": [2, 4, 2]}, r"shape must be two positive integers, outputs and inputs; received \[2, 4, 2\]"),
        ({"shape": [2, 4], "search": True}, r"search chooses among the shapes of a factor; give factor"),
        ({"factor": 8, "terms": 0}, r"terms must be greater than 0"),
        ({"factor": 7}, r"query is 16 x 16 \(out x in\): no shape with 7 numbers divides its sides"),
        ({"shape": [5, 1]}, r"no shape \[5, 1\] divides its sides"),
        ({"factor": 8, "terms": 7}, r"with terms 7 of 40 numbers each nothing is saved. Use at most 6"),
        ({"factor": 8, "targets": [{"pattern": "*.query", "rank": 2}]}, r"targets have no rank here"),
    ],
)
def test_what_cannot_be_approximated_is_refused_with_the_reason(options, message):
    with pytest.raises(InputError, match=message):
        apply(tiny_spec("bert"), **{"targets": ["*.query"], **options})


def test_a_weight_that_the_head_shares_is_refused():
    with pytest.raises(InputError, match=r"transformer.wte: the output head shares its weight"):
        apply(tiny_spec("gpt2"), factor=8, targets=["*.wte"])


def test_a_folder_whose_arguments_do_not_fit_is_refused(tmp_path):
    changed, _ = apply(tiny_spec("bert"), factor=8, targets=["*.query"])
    broken = [dataclasses.replace(edit, arguments=KroneckerArguments(3, 1)) for edit in changed.edits]
    save_pretrained(tmp_path, dataclasses.replace(changed, edits=tuple(broken)), changed.arrays)
    with pytest.raises(InputError, match=r"must divide those of the matrix.*right factor 3 x 1"):
        load_model_spec(ModelConfig(str(tmp_path), "sequence-classification", None, 0.0, {}), ("a", "b"), 60, 0, 0)
