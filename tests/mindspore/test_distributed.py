"""What the MindSpore half does not do among processes is refused, and not left out."""

from __future__ import annotations

import pytest

from common.distributed import ALONE
from common.errors import InputError
from tests.support import TARGETS, nonzero_values, plan_for, settings, tiny_spec

half = pytest.importorskip("mindspore_impl")
pytestmark = pytest.mark.needs_mindspore


def test_dividing_the_weights_is_refused_and_means_nothing_to_a_single_process():
    spec = tiny_spec("bert")
    plan = plan_for(spec, TARGETS["bert"])
    model = half.build_model(spec, half.device.select("cpu"))
    half.rewrite(model, plan, nonzero_values(plan))
    half.Engine(model, plan, settings(shard=True), ALONE)
    group = object.__new__(half.distributed.Group)  # without the others, whom it would wait for
    with pytest.raises(InputError, match=r"training\.shard is true.*Set it to false, or train with --backend pytorch"):
        half.Engine(model, plan, settings(shard=True), group)
