"""Graphs are counted, and too many shapes of batches are remarked once."""

from __future__ import annotations

import re

import numpy as np
import pytest

from common.compilation import SHAPES, Compilations, shapes_remark


def test_a_function_is_counted_once_for_each_shape():
    compilations = Compilations()
    function = compilations.watch(lambda array: array.sum())
    for length in (3, 4, 3, 4, 3):
        assert function(np.ones((2, length))) == 2 * length
    assert compilations.count == 2


@pytest.mark.parametrize(("multiple", "longest"), [(1, 40), (8, 512), (16, 1024), (4, 999)])
def test_the_multiple_that_is_proposed_leaves_few_lengths(multiple, longest):
    shapes = {(8, longest - k) for k in range(SHAPES + 1)}
    remark = shapes_remark(shapes, multiple)
    proposed, lengths = map(int, re.search(r"length_multiple: (\d+) .* at most (\d+) lengths", remark).groups())
    assert proposed > multiple
    assert proposed % multiple == 0
    assert lengths == len(range(0, longest, proposed)) <= SHAPES // 2


def test_it_is_remarked_once():
    told = [shapes_remark({(8, length) for length in range(1, count + 1)}, 1) is not None for count in range(1, 100)]
    assert sum(told) == 1
    assert told.index(True) == SHAPES
