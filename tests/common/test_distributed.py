"""How work is dealt out among processes: evenly, wholly, and summed without losing digits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.distributed import ALONE, micro_batch_size, share, spread, sum_exactly
from common.errors import InputError
from common.training.processes import agreed, check_alike, own_directory
from common.training.rundir import RunDirectory


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


class Together:
    """Threads as the processes of a job, which add as a device does, in float32."""

    def __init__(self, size):
        self.size, self.held, self.barrier = size, [None] * size, threading.Barrier(size, timeout=60)

    def run(self, work):
        """What ``work(group)`` returns or raises, by rank."""
        with ThreadPoolExecutor(self.size) as pool:
            began = [pool.submit(work, _Member(self, rank)) for rank in range(self.size)]
            return [one.exception() or one.result() for one in began]


class _Member:
    def __init__(self, job, rank):
        self.job, self.rank, self.size = job, rank, job.size

    def sum_array(self, array):
        self.job.held[self.rank] = np.array(array, np.float32)
        self.job.barrier.wait()
        total = np.sum(self.job.held, axis=0, dtype=np.float32)
        self.job.barrier.wait()
        return total


@pytest.mark.parametrize("length", [0, 1, 2, 255, 2**20 + 3])
@pytest.mark.parametrize("source", [0, 2])
def test_bytes_of_one_process_reach_all(length, source, monkeypatch):
    monkeypatch.setattr("common.distributed._PIECE", 1000)
    content = np.random.default_rng(length).bytes(length)
    found = Together(3).run(lambda group: spread(group, content if group.rank == source else b"other", source))
    assert found == [content] * 3
    assert spread(ALONE, content) is content


def test_processes_that_differ_are_refused_in_all_of_them_with_what_differs():
    def check(group, mine):
        check_alike(group, mine[group.rank])

    same = {"seed": 1, "targets": ["a", None]}
    assert Together(3).run(lambda group: check(group, [same] * 3)) == [None] * 3
    errors = Together(3).run(lambda group: check(group, [same, same, {"targets": ["a"], "seed": 1, "new": "x"}]))
    assert {type(error) for error in errors} == {InputError}
    [text] = {str(error) for error in errors}
    assert "the first and process 2 differ" in text
    assert "new: None and 'x'; targets: ['a', None] and ['a']. Start all" in text
    assert "seed" not in text
    check_alike(ALONE, same)


def test_the_first_process_decides():
    assert Together(2).run(lambda group: agreed(group, group.rank == 0)) == [True, True]
    assert Together(2).run(lambda group: agreed(group, group.rank == 1)) == [False, False]
    assert agreed(ALONE, True)
    assert not agreed(ALONE, False)


def test_a_resumed_run_is_given_to_processes_that_do_not_see_it(tmp_path):
    """On another machine the directory is empty, or holds what an earlier attempt left."""
    first, second = (RunDirectory(tmp_path / name) for name in ("first", "second"))
    for path, text in (("checkpoint/state.safetensors", "new"), ("metrics.jsonl", "1\n2\n"), ("trackers/x/y", "-")):
        (first.path / path).parent.mkdir(parents=True, exist_ok=True)
        (first.path / path).write_text(text)
    second.checkpoint.parent.mkdir(parents=True)
    second.checkpoint.write_text("old")

    def look(group):
        with own_directory((first, second)[group.rank], group, resume=True) as own:
            return own.path, {path: (own.path / path).read_text() for path in own.files()}

    (mine, held), (other, received) = Together(2).run(look)
    assert received == held == {"checkpoint/state.safetensors": "new", "metrics.jsonl": "1\n2\n"}
    assert mine == first.path
    assert not other.exists()
