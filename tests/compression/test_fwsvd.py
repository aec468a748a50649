"""Fisher-weighted SVD against NumPy, and ranks that share one budget."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from common.compression import TRANSFORMS
from common.compression.compress import read_options, transformed
from common.compression.low_rank import Decomposition, budgeted
from common.errors import InputError
from common.models.modules import LINEAR, ModuleSpec
from common.models.structure import dense
from tests.support import assert_identical, assert_near, tiny_spec

SVD, FWSVD = TRANSFORMS.get("svd"), TRANSFORMS.get("fwsvd")
TARGETS = {"bert": ["all-linear", "*.word_embeddings"], "gpt2": ["all-linear", "wpe"]}


def fisher_of(spec, seed=0):
    """Uneven over inputs, and also over outputs."""
    random = np.random.default_rng(seed)
    found = {}
    for module in spec.modules:
        if module.kind.adaptable and f"{module.path}.weight" in spec.arrays:
            rows, columns = spec.arrays[f"{module.path}.weight"].shape
            found[module.path] = random.gamma(0.3, 1, (rows, 1)) * random.gamma(0.3, 1, (rows, columns))
            found[module.path] *= random.gamma(0.2, 1, (1, columns)) + 1e-6
    return found


def apply(member, spec, statistics=None, **options):
    found = read_options(member, options)
    return member.apply(spec, found, statistics)


def weights(spec, kind):
    """Path, weight and Fisher information of every target, outputs first, and the importance of its inputs."""
    fisher = fisher_of(spec)
    changed, _ = apply(FWSVD, spec, fisher, rank=4, targets=TARGETS[kind])
    plain = dense(changed)
    for edit in changed.edits:
        module = edit.module
        first = module.kind.transposed or module.kind.lookup
        before, after = (s.arrays[f"{module.path}.weight"].astype(np.float64) for s in (spec, plain))
        d = np.sqrt(fisher[module.path].sum(1 if first else 0))
        yield module.path, *(w.T if first else w for w in (before, after)), np.maximum(d, 1e-4 * d.max())


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_the_weighted_error_is_lower_and_the_plain_error_higher_than_of_svd_at_equal_rank(kind):
    spec = tiny_spec(kind)
    seen = 0
    for path, before, after, d in weights(spec, kind):
        u, values, vt = np.linalg.svd(before, full_matrices=False)
        svd = u[:, :4] * values[:4] @ vt[:4]
        assert np.linalg.norm((before - after) * d) < np.linalg.norm((before - svd) * d), path
        assert np.linalg.norm(before - after) > np.linalg.norm(before - svd), path
        _, scaled, _ = np.linalg.svd(before * d)  # the least weighted error that any matrix of rank 4 has
        assert np.linalg.norm((before - after) * d) == pytest.approx(np.sqrt((scaled[4:] ** 2).sum()), rel=1e-4)
        seen += 1
    assert seen >= 9


def test_the_report_has_both_errors():
    spec = tiny_spec("bert")
    changed, report = apply(FWSVD, spec, fisher_of(spec), rank=4, targets=["*.query", "*.word_embeddings"])
    plain = dense(changed)
    for module in report.modules:
        weight = spec.arrays[f"{module.path}.weight"]
        lost = np.linalg.norm(plain.arrays[f"{module.path}.weight"] - weight) / np.linalg.norm(weight)
        assert module.error == pytest.approx(lost, rel=1e-4)
        assert float(module.details["weighted"]) < module.error


def test_even_importance_gives_the_plain_svd_and_both_factors_are_of_one_size():
    spec = tiny_spec("bert")
    even = {
        module.path: np.full(spec.arrays[f"{module.path}.weight"].shape, 1e-9)
        for module in spec.modules
        if module.kind.matrix
    }
    ours, _ = apply(FWSVD, spec, even, rank=3, targets=["*.query", "*.dense"])
    theirs, _ = apply(SVD, spec, rank=3, targets=["*.query", "*.dense"])
    for name, array in dense(theirs).arrays.items():
        assert_near(dense(ours).arrays[name], array, 1e-5, what=name)
    for edit in ours.edits:
        first, second = (np.linalg.norm(ours.arrays[f"{edit.path}.{leaf}.weight"]) for leaf in ("first", "second"))
        assert first == pytest.approx(second, rel=1e-5)


def test_features_without_a_gradient_are_kept_in_bounds():
    spec = tiny_spec("bert")
    fisher = fisher_of(spec)
    path = "bert.encoder.layer.0.attention.self.query"
    fisher[path][:, :5] = 0.0
    changed, report = apply(FWSVD, spec, fisher, rank=4, targets=[path])
    assert all(np.isfinite(array).all() for array in changed.arrays.values())
    assert 0 < report.error < 1.5


def test_missing_statistics_and_a_weight_that_nothing_depends_on_are_refused():
    spec = tiny_spec("bert")
    with pytest.raises(InputError, match="needs fisher of the model's behaviour on data; none were given"):
        transformed(spec, FWSVD, read_options(FWSVD, {"rank": 2}))
    with pytest.raises(InputError, match=r"squared gradients of every target; none of .*query"):
        apply(FWSVD, spec, {}, rank=2, targets=["*.query"])
    zero = {path: 0 * array for path, array in fisher_of(spec).items()}
    with pytest.raises(InputError, match=r"its squared gradients are all zero. Exclude it"):
        apply(FWSVD, spec, zero, rank=2, targets=["*.query"])


def modules_and_values(sizes, seed=0):
    random = np.random.default_rng(seed)
    modules = [ModuleSpec(f"m{i}", LINEAR, columns, rows) for i, (rows, columns) in enumerate(sizes)]
    matrices = [random.standard_normal((rows, columns)) * random.gamma(1, 3) for rows, columns in sizes]
    return modules, [np.linalg.svd(matrix, compute_uv=False) for matrix in matrices]


def cost_and_error(modules, values, ranks):
    cost, error = 0, 0.0
    for module, found, rank in zip(modules, values, ranks, strict=True):
        whole = rank is None
        cost += module.in_features * module.out_features if whole else rank * (module.in_features + module.out_features)
        error += 0.0 if whole else (found[rank:] ** 2).sum()
    return cost, error


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [0.3, 0.5, 0.7])
def test_no_other_ranks_within_what_a_budget_uses_have_a_smaller_error(budget, seed):
    """Every combination of ranks below the break-even, of modules of one size and of several."""
    for sizes in ([(8, 8)] * 3, [(6, 9), (12, 5), (7, 7)]):
        modules, values = modules_and_values(sizes, seed)
        limit = int(budget * sum(rows * columns for rows, columns in sizes))
        ranks = budgeted(modules, values, limit, {})
        used, error = cost_and_error(modules, values, ranks)
        assert used <= limit
        if None in ranks:
            continue
        even = [(rows * columns - 1) // (rows + columns) for rows, columns in sizes]
        for other in itertools.product(*(range(1, largest + 1) for largest in even)):
            cost, theirs = cost_and_error(modules, values, other)
            if cost <= used and sizes == [(8, 8)] * 3:
                assert theirs >= error * (1 - 1e-12)
            if cost <= used and theirs < error * (1 - 1e-12):  # only where a rank did not fit any more
                assert used - cost < max(rows + columns for rows, columns in sizes)


def test_a_module_whose_next_step_is_its_weight_is_kept_whole():
    modules, values = modules_and_values([(8, 8), (8, 8)])
    values[1] = values[1] * 1e-3
    assert budgeted(modules, values, 64 + 16, {}) == [None, 1]
    assert budgeted(modules, values, 64 + 15, {})[0] == 3
    assert budgeted(modules, values, 31, {}) is None
    assert budgeted(modules, values, 3 * 16, {1: 2}) == [1, 2]


@pytest.mark.parametrize("budget", [0.35, 0.6])
def test_a_budget_is_kept_over_all_targets_and_has_a_smaller_error_than_even_shares(budget):
    spec = tiny_spec("bert")
    arrays = {n: a * (4.0 if "layer.1" in n and a.ndim == 2 else 1.0) for n, a in spec.arrays.items()}
    spec = dataclasses.replace(spec, arrays=arrays)
    changed, report = apply(SVD, spec, budget=budget)
    assert sum(module.after for module in report.modules) <= budget * sum(module.before for module in report.modules)
    _, even = apply(SVD, spec, share=budget)
    assert sum(module.after for module in even.modules) <= sum(module.after for module in report.modules)
    assert report.error < even.error
    assert report.after == changed.parameter_count()
    weighted, _ = apply(FWSVD, spec, fisher_of(spec), budget=budget)
    assert [edit.arguments for edit in weighted.edits] != [edit.arguments for edit in changed.edits]


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_where_every_number_matters_alike_a_budget_is_divided_as_by_the_plain_error(kind):
    """Also between weights with different numbers of outputs."""
    spec = tiny_spec(kind)
    even = {path: np.full_like(found, 0.3) for path, found in fisher_of(spec).items()}
    assert len({edit.module.out_features for edit in apply(SVD, spec, budget=0.5)[0].edits}) > 1
    weighted, plain = (apply(*how, budget=0.5)[0] for how in ((FWSVD, spec, even), (SVD, spec)))
    assert [edit.arguments for edit in weighted.edits] == [edit.arguments for edit in plain.edits]


def test_a_budget_too_small_for_rank_1_is_refused_and_one_large_enough_keeps_weights():
    spec = tiny_spec("bert")
    with pytest.raises(InputError, match=r"must leave a rank for every target.*\n  budget: 0.05 of"):
        apply(SVD, spec, budget=0.05)
    changed, report = apply(SVD, spec, budget=0.97)
    kept = [module for module in report.modules if module.note]
    assert kept
    assert len(kept) + len(changed.edits) == len(report.modules)
    for module in kept:
        assert_identical({"w": changed.arrays[f"{module.path}.weight"]}, {"w": spec.arrays[f"{module.path}.weight"]})


def test_a_decomposition_of_a_weighted_matrix_has_the_errors_that_it_says():
    random = np.random.default_rng(0)
    matrix, scale = random.standard_normal((6, 9)), random.gamma(1, 1, 9)
    found = Decomposition.of(matrix, scale)
    outer, inner = found.factors(3)
    lost = matrix - outer @ inner
    assert found.error(3) == pytest.approx(np.linalg.norm(lost) / np.linalg.norm(matrix))
    assert found.weighted_error(3) == pytest.approx(np.linalg.norm(lost * scale) / np.linalg.norm(matrix * scale))
