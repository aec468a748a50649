"""Training through torch.compile."""

import shutil

import numpy as np
import pytest

from common.backend import load
from tests.support import TARGETS, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import STEP_LOSS

pytestmark = [
    pytest.mark.needs_pytorch,
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="torch.compile needs a C++ compiler"),
]


@pytest.mark.parametrize(
    ("dropout", "kind"),
    [
        (0.2, "bert"),
        (0.0, "gpt2"),
        pytest.param(0.0, "bert", marks=pytest.mark.nightly),
        pytest.param(0.2, "gpt2", marks=pytest.mark.nightly),
    ],
)
def test_compiled_training_is_that_of_the_interpreted_network(kind, dropout):
    spec = tiny_spec(kind, dropout=dropout)
    plan = plan_for(spec, TARGETS[kind], rank=4, dropout=dropout)
    found = {}
    for compiled in (True, False):
        engine = build_engine(load("pytorch"), spec, plan, plan.initial_values(0), compile=compiled)
        handles = [engine.train_step([make_batch(kind, [9, 3, 16], seed=i)], 1e-2) for i in range(3)]
        found[compiled] = np.array(engine.fetch(handles))
        assert (engine.compilations.count, engine.compilations.seconds > 0) == (int(compiled), compiled)
    assert_near(found[True], found[False], STEP_LOSS)
