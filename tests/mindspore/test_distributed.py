"""What the MindSpore backend lacks is refused before anything is built, and not left out."""

from __future__ import annotations

import pytest

from common.backend.capabilities import check
from common.errors import InputError
from common.methods import METHODS
from common.models import FAMILIES
from common.models.loading import outline
from common.tasks import TASKS
from tests.support import TARGETS, plan_for, refusal, settings, tiny_spec

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


@pytest.mark.parametrize(
    ("family", "task", "entries", "refused"),
    [
        ("rnn", "token-classification", {"cell": "lstm"}, True),
        ("rnn", "token-classification", {"cell": "gru"}, False),
        ("bilstm-cnn", "crf-tagging", {}, True),
        ("seq2seq-lstm", "sequence-to-sequence", {}, True),
        ("han", "sequence-classification", {}, False),
    ],
)
def test_networks_with_an_lstm_are_refused_where_mindspore_documents_no_kernel(family, task, entries, refused):
    labels = ("O", "B-x", "I-x") if TASKS.get(task).example_labels() else None
    spec = outline(family, task, {**FAMILIES.get(family).tiny(), "vocab_size": 20, **entries}, labels)
    plan = METHODS.get("full").plan(METHODS.get("full").Options("full"), spec)
    assert refusal(lambda: check(backend, "cpu", spec, plan, settings())) is None
    said = refusal(lambda: check(backend, "ascend:0", spec, plan, settings()))
    assert (said is not None and "cell:lstm: MindSpore's ops.LSTM has kernels for CPU and GPU alone" in said) == refused
    assert refused or said is None
