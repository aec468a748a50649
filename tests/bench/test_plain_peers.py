"""The peers that train a network's own modules in a plain loop take the steps that the engines take."""

from __future__ import annotations

import numpy as np
import pytest

from common.bench.cases import load_case
from common.bench.subjects import OURS, build, framework_of
from common.errors import InputError

SMALL = ["model.config.vocab_size=50", "model.config.embedding_size=12", "model.config.filters=6"]
BACKEND = {"torch": "pytorch", "cells": "mindspore"}


def small(*changes: str):
    """A network of a few thousand weights on four sentences."""
    request = {"case": "network-textcnn_sst2", "set": [*SMALL, *changes], "size": (4, 9), "count": 3}
    return load_case(request)


def peers():
    return [pytest.param(name, marks=getattr(pytest.mark, f"needs_{BACKEND[name]}")) for name in BACKEND]


@pytest.mark.parametrize("name", peers())
def test_a_plain_loop_has_the_losses_of_the_engine(name):
    case = small()
    assert framework_of(name) == BACKEND[name]
    assert name not in OURS
    ours, peer = build(BACKEND[name], case, "cpu"), build(name, case, "cpu")
    assert peer.check_loss(case.check) == pytest.approx(ours.check_loss(case.check), rel=1e-6)
    losses = [subject.losses([subject.step(batch) for batch in case.batches]) for subject in (ours, peer)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-5)
    assert abs(losses[0][0] - losses[0][-1]) > 1e-4  # the steps change something


@pytest.mark.parametrize("name", peers())
@pytest.mark.parametrize("change", ["optimization.optimizer=sgd", "optimization.max_norm=3.0", "training.dtype=bf16"])
def test_a_plain_loop_refuses_what_it_would_compute_differently(name, change):
    with pytest.raises(InputError, match="Leave them out"):
        build(name, small(change), "cpu")
