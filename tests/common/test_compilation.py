"""Counting and timing first calls."""

import time

import numpy as np
import pytest

from common.compilation import Compilations


def test_the_first_call_for_every_shape_and_flag_is_counted_and_timed():
    found, calls = Compilations(), []

    def function(*args):
        calls.append(args)
        time.sleep(0.02)
        return len(calls)

    watched = found.watch(function)
    narrow, wide = np.zeros((2, 3)), np.zeros((2, 5))
    for args in (
        (narrow, True),
        (narrow + 1, True),
        (wide, True),
        (wide, False),
        ({"ids": narrow}, True),
        ({"ids": wide}, True),
        ({"ids": wide}, True),
    ):
        before = found.count, found.seconds
        watched(*args)
        assert (found.seconds >= before[1] + 0.02) == (found.count > before[0])
    assert found.count == 5
    assert len(calls) == 7, "every call is made"
    assert watched(narrow, True) == 8, "and answered"


def test_a_call_that_fails_is_not_counted_and_functions_are_counted_apart():
    found = Compilations()
    failing, working = found.watch(lambda x: 1 // 0), found.watch(lambda x: x)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            failing(np.zeros(1))
    assert (found.count, found.seconds) == (0, 0.0)
    working(np.zeros(1))
    found.watch(lambda x: x)(np.zeros(1))
    assert found.count == 2
