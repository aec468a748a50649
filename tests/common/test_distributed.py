"""How work is dealt out among processes: evenly, wholly, and summed without losing digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.distributed import ALONE, micro_batch_size, share, sum_exactly
from common.errors import InputError


class Pretend:
    """A group whose other processes hold given arrays."""

    def __init__(self, rank, size, others=()):
        self.rank, self.size, self.others = rank, size, others

    def sum_array(self, array):
        assert array.dtype == np.float32
        array = array.copy()
        for rank, other in enumerate(self.others, start=1):
            array[rank] += np.stack([np.float32(other), np.float32(other - np.float32(other))])
        return array


@given(st.integers(0, 40), st.integers(1, 9))
def test_every_item_is_computed_by_exactly_one_process(items, size):
    dealt = [number for rank in range(size) for number, item in share(range(items), Pretend(rank, size))]
    assert sorted(dealt) == list(range(items))


@given(st.integers(0, 40), st.integers(1, 9))
def test_with_idle_items_every_process_computes_equally_many(items, size):
    dealt = [list(share(range(items), Pretend(rank, size), lambda item: -item - 1)) for rank in range(size)]
    assert {len(one) for one in dealt} == {-(-items // size)}
    assert sorted(item for one in dealt for _, item in one if item >= 0) == list(range(items))
    assert all(
        item == -items and number == items - 1 and place == len(one) - 1
        for one in dealt
        for place, (number, item) in enumerate(one)
        if item < 0
    )


def test_a_single_process_computes_everything():
    assert list(share("ab", ALONE)) == list(share("ab", ALONE, str.upper)) == [(0, "a"), (1, "b")]


def test_sums_keep_more_than_float32_has():
    mine, theirs = np.array([1234567.891, 1e-3]), np.array([7654321.123, 2e-3])
    assert np.allclose(sum_exactly(Pretend(0, 2, [theirs]), mine), mine + theirs, rtol=1e-14, atol=0)
    assert sum_exactly(ALONE, mine) is mine


@pytest.mark.parametrize(
    ("batch", "given", "processes", "expected"), [(32, None, 1, 32), (32, None, 4, 8), (32, 4, 4, 4), (32, 8, 1, 8)]
)
def test_the_micro_batch_divides_the_step_evenly(batch, given, processes, expected):
    assert micro_batch_size(batch, given, Pretend(0, processes)) == expected


@pytest.mark.parametrize(("batch", "given", "processes"), [(32, None, 3), (32, 16, 4), (32, 5, 2)])
def test_uneven_shares_are_refused_with_the_numbers(batch, given, processes):
    with pytest.raises(
        InputError, match=rf"multiple of micro_batch_size x processes.*It is {batch}.*{processes} processes"
    ):
        micro_batch_size(batch, given, Pretend(0, processes))
