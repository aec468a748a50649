"""Arguments that do not fit each other, on every function, method and module: what torch refuses is refused, and nothing
else is computed from what torch computes with."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from common.api_mapping.misfits import accepted_or_different, other_numbers, other_shapes
from common.api_mapping.running import open_backends
from tests.parity.mapped import FILES

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

F32, I64 = np.float32, np.int64
#: Row, part of the call's text and why it may differ. None of them is a wrong value.
KNOWN = {
    "torch.special.bessel_y1": ("", "torch's is off by 1e-6 above 5, in float64 too"),
}


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.nightly)], ids=["every fourth", "every"])
@pytest.mark.parametrize("file", [name for name in FILES if name not in ("random", "optimizers")])
def test_calls_that_torch_refuses_are_refused(file, step, tmp_path, monkeypatch):
    from mindspore_impl.mapping_memory import spoil_memory

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the shipped lock file chooses
    backends, seen, wrong = open_backends("cpu"), set(), []
    for row in FILES[file][::step]:
        target = backends.locked[row.name]["target"]
        if row.kind == "optimizer" or row.stochastic or target in seen:
            continue
        seen.add(target)
        part, _ = KNOWN.get(row.name, (None, ""))
        function = backends.mindspore.resolve(target)
        cases = chain(other_shapes(row), other_numbers(row))
        for case, problem in accepted_or_different(
            row, cases, function, backends.torch, backends.mindspore, spoil_memory
        ):
            if part is None or part not in case:
                wrong.append(f"{row.name}({case}): {problem}")
    assert wrong == []


CALLS = {
    "cross_entropy": (((6, 3), F32), ((1,), I64)),
    "binary_cross_entropy_with_logits": (((3, 4), F32), ((3, 1), F32)),
    "amax": (((4,), F32), 1),
    "select": (((1, 4), F32), 0, 2),
    "index_add": (((5, 4), F32), 0, ((2,), I64), ((2, 3), F32)),
    "layer_norm": (((3, 8), F32), (8,), ((1,), F32)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_graph_refuses_them_too(name):
    import mindspore as ms

    from mindspore_impl import functional

    def made(argument):
        is_tensor = isinstance(argument, tuple) and len(argument) == 2
        return ms.Tensor(np.ones(*argument)) if is_tensor else argument

    class Call(ms.nn.Cell):
        def construct(self, *arguments):
            return self.function(*arguments)

    call = Call()
    call.function = getattr(functional, name)
    call.construct = ms.jit(call.construct)
    with pytest.raises((ValueError, IndexError), match=r"must|shape"):
        call(*map(made, CALLS[name]))


def test_layers_refuse_what_would_be_broadcast():
    import mindspore as ms

    from mindspore_impl import nn

    def ones(*shape):
        return ms.Tensor(np.ones(shape, F32))

    state = ones(1, 1, 3)
    for call in (
        lambda: nn.LayerNorm(8)(ones(2, 3, 1)),
        lambda: nn.BatchNorm1d(3)(ones(6, 1, 5)),
        lambda: nn.LSTM(4, 3)(ones(5, 2, 4), (state, state)),
        lambda: nn.GRUCell(4, 3)(ones(2, 4), ones(1, 3)),
        lambda: nn.MultiheadAttention(8, 2)(ones(5, 2, 8), ones(4, 1, 8), ones(4, 2, 8)),
        lambda: nn.Bilinear(4, 3, 5)(ones(1, 4), ones(2, 3)),
    ):
        with pytest.raises(ValueError, match="received"):
            call()


def test_a_vector_is_copied_into_a_row_without_harm_to_memory():
    import mindspore as ms

    from mindspore_impl.shims.tensor import copy_

    for _ in range(20):
        row = ms.Tensor(np.zeros((1, 4), F32))
        copy_(row, ms.Tensor(np.arange(4, dtype=F32)))
        assert row.asnumpy().tolist() == [[0.0, 1.0, 2.0, 3.0]]
