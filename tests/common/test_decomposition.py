"""Chains of convolutions in NumPy: exactness, errors, sizes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from common.decomposition import DecompositionOptions, decomposed
from common.decomposition.chain import multiplied
from common.decomposition.cp import cp_factors
from common.decomposition.tucker import tucker_factors
from common.errors import InputError
from tests.support import assert_near


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def of_rank(rank, *shape):
    return np.einsum(",".join(f"{'abcd'[i]}r" for i in range(len(shape))) + "->" + "abcd"[: len(shape)],
                     *[noise(size, rank, seed=i) for i, size in enumerate(shape)])  # fmt: skip


@pytest.mark.parametrize("shape", [(10, 9, 5), (8, 6, 3, 3)])
def test_a_kernel_of_low_rank_is_found_again(shape):
    kernel = of_rank(3, *shape)
    chain = decomposed("conv", kernel, 1, DecompositionOptions("cp", (3,)))
    assert chain.error < 1e-4
    assert_near(multiplied(chain.stages), kernel, 1e-3)
    norms = np.array([np.linalg.norm(factor, axis=0) for factor in cp_factors(kernel, 3)])
    np.testing.assert_allclose(norms, np.broadcast_to(norms[0], norms.shape), rtol=1e-6)


def test_tuckers_factors_are_orthonormal_and_exact_at_full_rank():
    kernel = noise(6, 5, 3, 3)
    u, v, core = tucker_factors(kernel, 6, 5)
    assert_near(np.einsum("tp,sq,pqhw->tshw", u, v, core), kernel, 1e-13)
    u, v, core = tucker_factors(kernel, 3, 2)
    np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-13)
    np.testing.assert_allclose(v.T @ v, np.eye(2), atol=1e-13)
    left = np.linalg.svd(kernel.reshape(6, -1), full_matrices=False)[0][:, :3]  # truncated, not iterated
    right = np.linalg.svd(np.moveaxis(kernel, 1, 0).reshape(5, -1), full_matrices=False)[0][:, :2]
    assert np.linalg.norm(core) >= np.linalg.norm(np.einsum("tshw,tp,sq->pqhw", kernel, left, right)) * (1 - 1e-12)


def test_tensorly_finds_no_better_decomposition():
    tensorly = pytest.importorskip("tensorly")
    from tensorly.decomposition import parafac, partial_tucker

    kernel = noise(8, 6, 3, 3)
    ours = decomposed("conv", kernel, 1, DecompositionOptions("cp", (4,)))
    theirs = tensorly.cp_to_tensor(parafac(kernel, 4, n_iter_max=300, init="svd"))
    assert ours.error <= 1.05 * np.linalg.norm(theirs - kernel) / np.linalg.norm(kernel)
    ours = decomposed("conv", kernel, 1, DecompositionOptions("tucker", (4, 3)))
    (core, factors), *_ = partial_tucker(kernel, [4, 3], modes=[0, 1], n_iter_max=200, tol=1e-12)
    theirs = tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1])
    assert ours.error == pytest.approx(np.linalg.norm(theirs - kernel) / np.linalg.norm(kernel), rel=1e-3)


@pytest.mark.parametrize(("method", "share"), [("cp", 0.3), ("cp", 0.6), ("tucker", 0.3), ("tucker", 0.6)])
def test_a_share_is_kept_and_the_error_is_that_of_the_chain(method, share):
    kernel = noise(16, 12, 3, 3)
    chain = decomposed("conv", kernel, 1, DecompositionOptions(method, share=share))
    assert 0.7 * share * kernel.size < chain.after <= share * kernel.size
    lost = np.linalg.norm(multiplied(chain.stages) - kernel) / np.linalg.norm(kernel)
    assert chain.error == pytest.approx(lost)
    assert 0 < chain.error < 1


def test_sizes_are_those_of_the_formulas():
    kernel = noise(16, 12, 3, 5)
    assert decomposed("conv", kernel, 1, DecompositionOptions("cp", (4,))).after == 4 * (16 + 12 + 3 + 5)
    tucker = decomposed("conv", kernel, 1, DecompositionOptions("tucker", (6, 4)))
    assert tucker.after == 16 * 6 + 12 * 4 + 6 * 4 * 15
    assert tucker.ranks == (6, 4)


@pytest.mark.parametrize(
    ("options", "groups", "message"),
    [
        (DecompositionOptions("cp", (4,)), 2, "in 2 groups is not decomposed"),
        (DecompositionOptions("cp", (400,)), 1, "no fewer than the kernel"),
        (DecompositionOptions("cp", share=0.001), 1, "a share of 0.001 leaves no rank"),
        (DecompositionOptions("tucker", share=0.001), 1, "a share of 0.001 leaves no rank"),
    ],
)
def test_a_kernel_without_a_smaller_chain_is_refused(options, groups, message):
    with pytest.raises(InputError, match=message):
        decomposed("features.0", noise(8, 6, 3, 3), groups, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DecompositionOptions("svd", (4,)), "one of cp, tucker; received 'svd'"),
        (DecompositionOptions("cp"), "exactly one of ranks and share; received none"),
        (DecompositionOptions("cp", (4,), 0.5), "received both"),
        (DecompositionOptions("tucker", (4,)), "tucker has 2 positive ranks"),
        (DecompositionOptions("cp", (0,)), "cp has 1 positive ranks"),
        (DecompositionOptions("cp", share=1.5), "share must be greater than 0 and less than 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        options.check()


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize(("method", "ranks"), [("cp", (3,)), ("tucker", (3, 3))])
def test_a_kernel_that_is_not_finite_is_refused(method, ranks, number):
    kernel = noise(8, 6, 3, 3)
    kernel[1, 2, 0, 1] = number
    with pytest.raises(InputError, match="holds NaN or infinity"):
        decomposed("features.0", kernel, 1, DecompositionOptions(method, ranks))


@pytest.mark.parametrize(("method", "ranks"), [("cp", (3,)), ("tucker", (3, 3))])
def test_a_kernel_of_zeros_stays_one(method, ranks):
    chain = decomposed("features.0", np.zeros((8, 6, 3, 3)), 1, DecompositionOptions(method, ranks))
    assert chain.error == 0
    assert not multiplied(chain.stages).any()
