"""The arithmetic of few bits, in NumPy: against float64 and against formulas of others."""

from __future__ import annotations

import numpy as np
import pytest

from common.quantisation import normal_floats, pseudo
from common.quantisation.integers import columns_exact, dequantised, largest, pack, quantised, scales, unpack
from common.random import normal


@pytest.mark.parametrize("bits", [2, 3, 4, 7, 8])
def test_integers_are_the_nearest_multiples_of_the_scale(bits):
    weight = normal(0, "weight", (7, 33), 0.3)
    scale = scales(weight, bits)
    codes = quantised(weight, scale, bits)
    assert np.abs(codes).max(axis=1).tolist() == [largest(bits)] * 7  # the largest of every row is used in full
    exact = np.abs(weight.astype(np.float64)).max(axis=1) / largest(bits)
    assert np.allclose(scale, exact, rtol=1e-7)
    assert np.abs(dequantised(codes, scale) - weight).max() <= (0.5 + 1e-5) * scale.max()


def test_ties_go_to_the_even_integer():
    weight = np.array([[127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5]], np.float32)
    assert quantised(weight, scales(weight, 8), 8).tolist() == [[127, 0, 2, 2, 0, -2, -2, 126]]


def test_a_row_of_zeros_and_one_huge_number_are_kept():
    weight = np.zeros((3, 5), np.float32)
    weight[1, 2], weight[1, 3], weight[2] = 3e38, 1.0, 1e-45  # the last is subnormal: its scale is none
    scale = scales(weight, 8)
    found = dequantised(quantised(weight, scale, 8), scale)
    assert np.isfinite(scale).all()
    assert found[0].tolist() == [0.0] * 5
    assert found[1, 2] == pytest.approx(3e38)
    assert found[1, 3] == 0.0  # everything beside the outlier is lost in its row
    assert np.abs(found[2] - weight[2]).max() <= 2e-45


@pytest.mark.parametrize("columns", [1, 2, 7, 8])
def test_two_integers_of_four_bits_share_a_byte(columns):
    codes = np.random.default_rng(0).integers(-7, 8, (5, columns)).astype(np.int8)
    stored = pack(codes)
    assert (stored.dtype, stored.shape) == (np.uint8, (5, (columns + 1) // 2))
    assert np.array_equal(unpack(stored, columns), codes)


@pytest.mark.parametrize(("first", "second"), [(8, 8), (8, 4), (8, 2)])
def test_float32_adds_as_many_products_as_are_said_to_be_exact(first, second):
    count = columns_exact(first, second)
    product = np.float32(largest(first) * largest(second))
    assert np.cumsum(np.full(count, product))[-1] == count * int(product) <= 2**24
    assert (count + 1) * int(product) > 2**24


def reference_nf4(weight, double):
    """bitsandbytes' definition, number by number in float64."""
    book = normal_floats.QUANTILES.astype(np.float64)
    numbers = weight.reshape(-1).astype(np.float64)
    blocks = [numbers[start : start + 64] for start in range(0, len(numbers), 64)]
    scales_ = np.array([np.abs(block).max() for block in blocks])
    indices = [np.abs((b / s)[:, None] - book).argmin(1) for b, s in zip(blocks, scales_, strict=True)]
    if double:
        offset = scales_.mean()
        for start in range(0, len(scales_), 256):
            part = scales_[start : start + 256] - offset
            above, numbers_of = np.abs(part).max() or 1.0, normal_floats.dynamic_map().astype(np.float64)
            scales_[start : start + 256] = (
                numbers_of[np.abs((part / above)[:, None] - numbers_of).argmin(1)] * above + offset
            )
    return np.concatenate([book[i] * s for i, s in zip(indices, scales_, strict=True)]).reshape(weight.shape)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("shape", [(24, 16), (5, 13), (270, 64), (1, 1)])
def test_nf4_is_what_its_definition_gives(shape, double):
    weight = normal(0, "weight", shape, 0.3)
    stored = normal_floats.quantised(weight, double)
    found = normal_floats.dequantised(stored, shape)
    assert (stored.codes.dtype, stored.codes.shape) == (np.uint8, (normal_floats.sizes(weight.size)[0],))
    assert np.abs(found - reference_nf4(weight, double)).max() <= 1e-6


def test_the_first_of_two_numbers_is_in_the_upper_part_of_the_byte():
    weight = np.zeros((1, 64), np.float32)
    weight[0, 0], weight[0, 1] = 1.0, -1.0
    assert normal_floats.quantised(weight, False).codes[:2].tolist() == [0xF0, 0x77]  # 7 is zero


def test_the_code_book_is_made_of_quantiles_of_the_normal_distribution():
    """Dettmers et al. 2023, section 3, with the offset of their program: 8 quantiles below zero, zero, 7 ... 1
    above."""
    stats = pytest.importorskip("scipy.stats")
    offset = 0.9677083
    above = stats.norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    below = -stats.norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    book = np.sort(np.concatenate([above, [0.0], below]))
    assert np.abs(book / book.max() - normal_floats.QUANTILES).max() < 1e-6


def test_the_map_of_the_scales_is_that_of_torchs_linspace():
    """To the last bits: torch adds in another order on processors with other registers."""
    torch = pytest.importorskip("torch")
    numbers = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1, 2**exponent + 1)
        middles = 10.0 ** (exponent - 6) * ((edges[:-1] + edges[1:]) / 2.0)
        numbers += [*middles.tolist(), *(-middles).tolist()]
    found = normal_floats.dynamic_map()
    assert len(found) == 256
    assert np.allclose(found, np.sort(np.array(numbers, np.float32)), rtol=2.0**-22, atol=0)


def test_blocks_of_zeros_and_subnormal_numbers_are_kept_in_nf4():
    weight = np.zeros((1, 192), np.float32)
    weight[0, 64:128], weight[0, 130] = 1e-45, 1.0
    for double in (True, False):
        found = normal_floats.dequantised(normal_floats.quantised(weight, double), weight.shape)
        assert np.isfinite(found).all()
        assert np.abs(found[:, :128]).max() < 1e-2 if double else np.abs(found[:, :128]).max() <= 1e-45
    assert found[0, 130] == 1.0


def test_the_noise_has_the_moments_of_independent_normal_numbers():
    noise = pseudo.noise("layer", 12345, (400, 300)).astype(np.float64)
    assert abs(noise.mean()) < 0.01
    assert noise.var() == pytest.approx(1.0, abs=0.01)
    assert (noise**4).mean() == pytest.approx(2.7, abs=0.05)  # of a sum of four uniform numbers; 3 of normal ones
    assert np.abs(np.corrcoef(noise)[np.triu_indices(400, 1)]).max() < 0.3
    assert abs(np.corrcoef(noise.reshape(-1), pseudo.noise("layer", 12346, (400, 300)).reshape(-1))[0, 1]) < 0.01
    assert abs(np.corrcoef(noise.reshape(-1), pseudo.noise("other", 12345, (400, 300)).reshape(-1))[0, 1]) < 0.01


def test_the_size_and_its_slope_follow_the_bits():
    groups = pseudo.Groups(8, 2.0, 15.0)
    assert groups.count(17) == 3
    assert groups.sizes(17).tolist() == [8, 8, 1]
    assert groups.bits(np.array([groups.logit(8.0)]))[0] == pytest.approx(8.0)
    logits = np.array([-1.0, 0.3, 2.0])
    expected = (groups.bits(logits) * [8, 8, 1]).sum() + 3 * 4 + 64  # bits, four for each group's own, two float32
    assert groups.megabytes(logits, 17) == pytest.approx(expected / 8 / 2**20)
    moved = [groups.megabytes(logits + 1e-5 * np.eye(3)[i], 17) - groups.megabytes(logits, 17) for i in range(3)]
    assert np.allclose(groups.slope(logits, 17), np.array(moved) / 1e-5, rtol=1e-4)


def test_a_weight_is_evaluated_at_the_nearest_of_its_levels():
    groups, weight = pseudo.Groups(8, 2.0, 15.0), normal(0, "weight", (3, 7), 1.0)
    bits = np.array([2.2, 5.0, 15.0])
    found = pseudo.quantised(weight, bits, groups.size)
    steps = np.repeat((weight.max() - weight.min()) / (2.0 ** np.rint(bits) - 1), 8)[:21].reshape(3, 7)
    assert (np.abs(found - weight) <= steps / 2 * (1 + 1e-5)).all()
    assert len(np.unique(found.reshape(-1)[:8])) <= 4
    equal = np.full((2, 8), 0.3, np.float32)  # without a range
    assert np.array_equal(pseudo.quantised(equal, np.array([2.0, 8.0]), 8), equal)
