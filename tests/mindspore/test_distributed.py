"""What the MindSpore backend lacks is refused before anything is built, and not left out."""

from __future__ import annotations

import pytest

from common.backend.capabilities import check
from common.errors import InputError
from tests.support import TARGETS, plan_for, settings, tiny_spec

backend = pytest.importorskip("mindspore_impl")
pytestmark = pytest.mark.needs_mindspore


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"shard": True},
            r"shard: only the PyTorch backend divides weights among processes\. Set training\.shard to false",
        ),
        ({"recompute": True}, r"recompute: .*Set training\.recompute to false"),
        ({"dtype": "bf16"}, r"dtype:bf16: .*Use training\.dtype fp32"),
        ({"dtype": "fp64"}, r"dtype:fp64: references are computed in PyTorch"),
    ],
)
def test_what_the_backend_lacks_is_refused_with_the_reason(changed, message):
    spec = tiny_spec("bert")
    plan = plan_for(spec, TARGETS["bert"])
    check(backend, "cpu", spec, plan, settings())
    with pytest.raises(InputError, match=message):
        check(backend, "cpu", spec, plan, settings(**changed))
