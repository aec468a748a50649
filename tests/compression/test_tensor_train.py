"""Tensor trains against NumPy and tensorly: exactness, the error bound, modes, counts, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.compression.tensor_train import covering, modes, tt_svd
from common.errors import InputError
from common.models.checkpoint import save_pretrained
from common.models.layers.tensor_train import TensorTrainArguments, contracted
from common.models.loading import load_model_spec
from common.models.modules import LINEAR, ModuleSpec
from common.models.structure import dense
from tests.support import assert_identical, assert_near, model_config, tiny_spec

TENSOR_TRAIN = TRANSFORMS.get("tensor_train")
TABLES = {"bert": "*.word_embeddings", "gpt2": "wpe"}


def apply(spec, **options):
    return transformed(spec, TENSOR_TRAIN, read_options(TENSOR_TRAIN, options))


def multiplied(train):
    product = train.cores[0]
    for core in train.cores[1:]:
        product = np.tensordot(product, core, (-1, 0))
    return product.reshape([core.shape[1] for core in train.cores])


def noise(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape)


def test_at_full_rank_the_train_is_the_tensor_and_every_core_has_the_same_norm():
    tensor = noise(4, 6, 3, 5)
    train = tt_svd(tensor)
    assert train.ranks == (4, 15, 5)
    assert_near(multiplied(train), tensor, 1e-13)
    assert train.bound < 1e-12
    norms = [np.linalg.norm(core) for core in train.cores]
    assert max(norms) == pytest.approx(min(norms))


def test_a_train_of_low_rank_is_found_again_with_its_ranks():
    first, second, third = noise(1, 6, 2), noise(2, 5, 3), noise(3, 7, 1)
    tensor = np.einsum("aib,bjc,ckd->ijk", first, second, third)
    train = tt_svd(tensor, eps=1e-10)
    assert train.ranks == (2, 3)
    assert_near(multiplied(train), tensor, 1e-12)


@pytest.mark.parametrize("eps", [0.05, 0.3, 0.6, 0.9])
def test_the_error_is_within_eps_and_within_the_bound(eps):
    tensor = noise(5, 6, 7, 4)
    train = tt_svd(tensor, eps=eps)
    error = np.linalg.norm(multiplied(train) - tensor)
    assert error <= train.bound * (1 + 1e-12)
    assert train.bound <= eps * np.linalg.norm(tensor)
    assert train.bound >= max(train.discarded) > 0


def test_one_truncation_is_the_best_approximation():
    tensor = noise(8, 9)
    values = np.linalg.svd(tensor, compute_uv=False)
    error = np.linalg.norm(multiplied(tt_svd(tensor, rank=3)) - tensor)
    assert error == pytest.approx(np.sqrt((values[3:] ** 2).sum()))


@pytest.mark.parametrize("rank", [2, 4])
def test_tensorly_finds_the_same_tensor(rank):
    tensorly = pytest.importorskip("tensorly")
    tensor = noise(6, 8, 9)
    theirs = tensorly.tt_to_tensor(tensorly.decomposition.tensor_train(tensor, rank=[1, rank, rank, 1]))
    assert_near(multiplied(tt_svd(tensor, rank=rank)), theirs, 1e-12)


def test_modes_multiply_to_the_size_and_are_nearly_equal():
    assert modes(768, 3) == (8, 8, 12)
    assert modes(3072, 4) == (6, 8, 8, 8)
    assert modes(13, 3) == (1, 1, 13)
    assert modes(1, 2) == (1, 1)
    for size in range(1, 200):
        assert math.prod(modes(size, 3)) == size
        assert math.prod(covering(size, 3)) >= size
    assert covering(30522, 3) == (32, 31, 31)
    assert covering(27, 3) == (3, 3, 3)


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_at_full_rank_the_model_is_given_back_in_either_weight_layout(kind, order):
    spec = tiny_spec(kind)
    changed, report = apply(spec, order=order, rank=10**6, larger=True, targets=["all-linear", TABLES[kind]])
    assert len(report.modules) == len(changed.edits) >= 9
    again = dense(changed)
    for name, array in spec.arrays.items():
        assert_near(again.arrays[name], array, 2e-6, what=name)
    assert report.error < 1e-12
    assert report.after == changed.parameter_count() == sum(array.size for array in changed.arrays.values())


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_errors_are_those_of_the_multiplied_out_weights_and_what_is_written_is_read_back(kind, tmp_path):
    spec = tiny_spec(kind)
    changed, report = apply(spec, rank=3, targets=["all-linear", TABLES[kind]])
    plain = dense(changed)
    for module in report.modules:
        weight = spec.arrays[f"{module.path}.weight"]
        lost = np.linalg.norm(plain.arrays[f"{module.path}.weight"] - weight) / np.linalg.norm(weight)
        assert module.error == pytest.approx(lost, rel=1e-5)
        assert module.error <= float(module.details["bound"]) + 1e-4
        assert max(map(int, module.details["ranks"].split(","))) == 3
        assert module.after < module.before
    save_pretrained(tmp_path, changed, changed.arrays)
    loaded = load_model_spec(model_config(kind, str(tmp_path)), ("class0", "class1", "class2"), 60, 0, 0)
    assert_identical(loaded.arrays, changed.arrays)
    assert (loaded.edits, loaded.modules) == (changed.edits, changed.modules)


def test_a_share_becomes_the_largest_rank_that_fits():
    spec = tiny_spec("bert")
    _, report = apply(spec, share=0.5, targets=["*.query", "*.word_embeddings"])
    ranks = {module.path: max(map(int, module.details["ranks"].split(","))) for module in report.modules}
    for module in report.modules:
        assert module.after <= 0.5 * module.before
        target = [{"pattern": module.path, "rank": ranks[module.path] + 1}]
        assert apply(spec, targets=target, larger=True)[1].modules[0].after > 0.5 * module.before


def test_an_eps_is_kept_and_leaves_what_would_grow():
    spec = tiny_spec("bert")
    _, report = apply(spec, eps=0.75, targets=["*.query", "*.dense", "*.word_embeddings"])
    assert all(module.error <= 0.75 for module in report.modules)
    assert any(module.error > 0 for module in report.modules)
    with pytest.raises(InputError, match=r"query: left as it is: the error needs ranks"):
        apply(spec, eps=0.01, targets=["*.query"])


def test_the_cores_are_contracted_one_by_one_where_that_is_cheaper():
    module = ModuleSpec("m", LINEAR, 768, 768)
    for rank, cheaper in [(4, True), (64, False)]:
        arguments = TensorTrainArguments((8, 8, 12), (12, 8, 8), (rank, rank))
        assert contracted(module, arguments) is cheaper


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"rank is one of 3 choices.*received none"),
        ({"rank": 2, "eps": 0.5}, r"give exactly one; received rank, eps"),
        ({"rank": 0}, r"rank must be greater than 0"),
        ({"eps": 1.0}, r"eps must be greater than 0 and less than 1"),
        ({"rank": 2, "order": 5}, r"order must be one of 2, 3, 4; received 5"),
        ({"rank": 12}, r"query of modes .* at rank 12 the cores hold [\d,]+ parameters, no fewer than the weight"),
        ({"share": 0.01}, r"a share of 0.01 leaves no rank"),
    ],
)
def test_what_cannot_be_decomposed_is_refused_with_the_reason(options, message):
    with pytest.raises(InputError, match=message):
        apply(tiny_spec("bert"), **{"targets": ["*.query"], **options})
