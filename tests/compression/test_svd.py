"""Truncated SVD against NumPy: errors, ranks, layouts, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.compression.report import as_json, as_table
from common.compression.spectrum import spectra
from common.errors import InputError
from common.models.structure import dense
from tests.support import KINDS, assert_identical, assert_near, tiny_spec

SVD = TRANSFORMS.get("svd")
TARGETS = {
    "bert": ["all-linear", "*.word_embeddings"],
    "gpt2": ["all-linear"],
    "gpt2-classifier": ["all-linear", "wpe"],
}


def apply(spec, **options):
    return transformed(spec, SVD, read_options(SVD, options))


def best_approximation(weight, rank):
    """U S V of NumPy, multiplied out."""
    u, values, vt = np.linalg.svd(weight.astype(np.float64), full_matrices=False)
    return u[:, :rank] * values[:rank] @ vt[:rank], np.sqrt((values[rank:] ** 2).sum() / (values**2).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_factors_multiply_to_the_best_approximation_and_errors_are_the_discarded_values(kind):
    spec = tiny_spec(kind)
    changed, report = apply(spec, rank=5, targets=TARGETS[kind])
    plain = dense(changed)
    assert {module.path for module in report.modules} == {edit.path for edit in changed.edits}
    assert len(report.modules) >= 8
    assert plain.modules == spec.modules
    for module in report.modules:
        weight = spec.arrays[f"{module.path}.weight"]
        expected, error = best_approximation(weight, 5)
        actual = plain.arrays[f"{module.path}.weight"]
        assert_near(actual, expected, 1e-6, what=module.path)
        assert module.error == pytest.approx(error, rel=1e-12)
        assert np.linalg.norm(actual - weight) / np.linalg.norm(weight) == pytest.approx(error, rel=1e-5)
    untouched = {name: array for name, array in spec.arrays.items() if name in changed.arrays}
    assert_identical({name: changed.arrays[name] for name in untouched}, untouched)


@pytest.mark.parametrize("kind", KINDS)
def test_full_rank_gives_the_model_back_to_rounding(kind):
    spec = tiny_spec(kind)
    targets = [{"pattern": target, "rank": 16} for target in TARGETS[kind]]
    changed, report = apply(spec, targets=targets, larger=True)
    assert changed.edits
    plain = dense(changed)
    for name, array in spec.arrays.items():
        assert_near(plain.arrays[name], array, 1e-6, what=name)
    assert report.error < 1e-12
    assert all(module.error == 0 for module in report.modules)


def test_counts_are_those_of_the_arrays():
    spec = tiny_spec("bert")
    changed, report = apply(spec, rank=3, targets=["*.query", "*.intermediate.dense"])
    assert report.before == spec.parameter_count() == sum(array.size for array in spec.arrays.values())
    assert report.after == changed.parameter_count() == sum(array.size for array in changed.arrays.values())
    assert {name: array.shape for name, array in changed.arrays.items()} == changed.shapes()
    assert [module.after for module in report.modules[:2]] == [3 * (16 + 16), 3 * (16 + 24)]


def test_a_share_becomes_the_largest_rank_that_fits():
    _, report = apply(tiny_spec("bert"), share=0.5, targets=["*.query", "*.intermediate.dense"])
    ranks = {module.path.rpartition(".")[2]: module.details["rank"] for module in report.modules}
    assert ranks == {"query": 4, "dense": 4}  # 0.5 * 256 / 32 = 4, 0.5 * 384 / 40 = 4.8
    assert all(module.after <= 0.5 * module.before for module in report.modules)


@pytest.mark.parametrize("energy", [0.3, 0.6, 0.7])
def test_an_energy_gives_the_smallest_sufficient_rank_and_leaves_what_would_grow(energy):
    spec = tiny_spec("bert")
    changed, report = apply(spec, energy=energy, targets=["*.query", "*.value", "*.dense"])
    kept = [module for module in report.modules if module.note]
    assert len(changed.edits) + len(kept) == len(report.modules)
    for module in report.modules:
        values = np.linalg.svd(spec.arrays[f"{module.path}.weight"].astype(np.float64), compute_uv=False) ** 2
        rank = next(r for r in range(1, len(values) + 1) if values[:r].sum() >= energy * values.sum())
        size = spec.arrays[f"{module.path}.weight"].shape
        if module.note:
            assert rank * sum(size) >= np.prod(size)
            assert str(rank) in module.note
        else:
            assert module.details["rank"] == rank


def test_an_energy_that_every_module_needs_too_large_a_rank_for_is_refused():
    with pytest.raises(InputError, match=r"query: left as it is: the energy needs rank 1[0-9]"):
        apply(tiny_spec("bert"), energy=0.9999, targets=["*.query"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 8, "targets": ["*.query"]}, r"at rank 8 the factors hold more parameters.*at most 7"),
        ({"budget": 0.5, "targets": ["*.query"], "larger": True}, "has no meaning with budget"),
        ({"rank": 17, "targets": ["*.query"], "larger": True}, r"above the smaller side adds nothing, and rank is 17"),
        ({"rank": 2, "targets": ["*.token_type_embeddings"]}, r"2 x 16: at rank 2 .*at most 1"),
        ({"share": 0.01}, r"a share of 0.01 leaves no rank"),
        ({}, r"rank is one of 4 choices.*received none"),
        ({"rank": 2, "energy": 0.5}, r"give exactly one; received rank, energy"),
        ({"rank": 0}, r"rank must be greater than 0"),
        ({"energy": 1.0}, r"energy must be greater than 0 and less than 1"),
        ({"rank": 2, "ranks": 2}, r"ranks is unknown. Nearest: rank"),
        ({"rank": "two"}, r"rank must be a whole number|rank must be an integer"),
        ({"rank": 2, "targets": ["*.quary"]}, r"compress.targets: '\*.quary' matches none"),
        ({"rank": 2, "targets": ["classifier"]}, r"matches only the task head"),
        ({"rank": 2, "targets": []}, r"targets must name at least one module"),
        ({"rank": 2, "targets": [{"pattern": "*.query", "alpha": 2.0}]}, r"alpha belongs to adapters"),
    ],
)
def test_what_cannot_be_factored_is_refused_with_the_reason(options, message):
    with pytest.raises(InputError, match=message):
        apply(tiny_spec("bert"), **options)


def test_a_weight_that_the_head_shares_and_slices_are_refused():
    spec = tiny_spec("gpt2")
    with pytest.raises(InputError, match=r"transformer.wte: the output head shares its weight"):
        apply(spec, rank=2, targets=["*.wte"])
    with pytest.raises(InputError, match=r"whole modules are transformed"):
        apply(spec, rank=2, targets=["*.c_attn[q]"])


def test_weights_that_were_just_initialised_are_left_alone():
    spec = tiny_spec("bert")
    fresh = dataclasses.replace(spec, new_parameters=("bert.pooler.dense.weight", "bert.pooler.dense.bias"))
    changed, _ = apply(fresh, rank=2)
    assert {edit.path for edit in apply(spec, rank=2)[0].edits} - {e.path for e in changed.edits} == {
        "bert.pooler.dense"
    }


def test_a_second_transform_leaves_the_first_ones_layers_alone():
    first, _ = apply(tiny_spec("bert"), rank=2, targets=["*.query"])
    second, _ = apply(first, rank=3)
    ranks = {edit.path.rpartition(".")[2]: edit.arguments.rank for edit in second.edits}
    assert (ranks["query"], ranks["key"]) == (2, 3)
    assert [record["transform"] for record in second.history] == ["svd", "svd"]
    with pytest.raises(InputError, match="matches none"):
        apply(first, rank=3, targets=["*.query"])


def test_the_report_as_text_and_as_json_has_every_module_and_the_totals():
    spec = tiny_spec("bert")
    _, report = apply(spec, rank=2, targets=["*.query"])
    lines = as_table(report).splitlines()
    assert len(lines) == 1 + 2 + 2
    assert f"{spec.parameter_count():,}" in lines[-1]
    found = as_json(report)
    assert [module["rank"] for module in found["modules"]] == [2, 2]
    exact = np.sqrt(
        sum(
            (
                best_approximation(spec.arrays[f"{m['path']}.weight"], 2)[1]
                * np.linalg.norm(spec.arrays[f"{m['path']}.weight"])
            )
            ** 2
            for m in found["modules"]
        )
        / sum(np.linalg.norm(spec.arrays[f"{m['path']}.weight"]) ** 2 for m in found["modules"])
    )
    assert found["model"]["relative_error"] == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("name", TRANSFORMS.names())
def test_a_weight_that_is_not_finite_is_refused_by_every_transform_and_by_spectra(name, number):
    spec = tiny_spec("bert")
    path = next(module.path for module in spec.modules if module.path.endswith("query"))
    weight = spec.arrays[f"{path}.weight"].copy()
    weight[1, 2] = number
    spec = dataclasses.replace(spec, arrays={**spec.arrays, f"{path}.weight": weight})
    options = TRANSFORMS.get(name).example([path])
    with pytest.raises(InputError, match=r"A transform needs finite numbers; .*query\.weight hold NaN or infinity"):
        TRANSFORMS.get(name).apply(spec, options, {path: np.ones_like(weight)})
    with pytest.raises(InputError, match="needs finite numbers"):
        spectra(spec, options)
