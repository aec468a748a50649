"""Squared gradients of single examples: against their definition, and between the backends."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend import load
from common.errors import InputError
from tests.support import KINDS, ONE_LAYER, assert_all_near, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import GRADIENT

LENGTHS = (7, 3, 5)


def engine_of(backend, kind):
    spec = tiny_spec(kind, **ONE_LAYER[KINDS[kind][0]])
    return build_engine(backend, spec, plan_for(spec, (), "full"))


def examples(kind):
    batch = make_batch(kind, LENGTHS)
    return [{name: array[row : row + 1] for name, array in batch.items()} for row in range(len(LENGTHS))]


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_they_are_the_mean_over_examples_and_not_the_square_of_the_mean(backend, kind):
    engine = engine_of(backend, kind)
    before = engine.trainable()
    found = engine.collect(iter(examples(kind)))
    each = [engine.gradients([example]) for example in examples(kind)]
    expected = {
        name: np.mean([gradient[name].astype(np.float64) ** 2 for gradient in each], axis=0) for name in each[0]
    }
    nonzero = {name for name, array in expected.items() if array.any()}
    assert len(nonzero) > 10
    assert_all_near({n: found[n] for n in nonzero}, {n: expected[n] for n in nonzero}, 1e-12)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
    whole = engine.gradients([make_batch(kind, LENGTHS)])
    assert any(
        np.abs(whole[name].astype(np.float64) ** 2 - found[name]).max() > 0.1 * found[name].max() for name in nonzero
    )
    after = engine.trainable()
    assert all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_both_backends_collect_the_same(kind):
    theirs, ours = (engine_of(load(name), kind).collect(examples(kind)) for name in ("pytorch", "mindspore"))
    assert set(theirs) == set(ours)
    largest = max(array.max() for array in theirs.values())
    for name, expected in theirs.items():
        if expected.max() > 1e-9 * largest:  # below, gradients are sums that cancel: nothing but rounding
            assert_near(ours[name], expected, 2 * GRADIENT, what=name)


def test_no_example_is_refused(backend):
    with pytest.raises(InputError, match="at least one example; received none"):
        engine_of(backend, "bert").collect([])
