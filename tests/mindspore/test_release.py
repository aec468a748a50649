"""What the parity suites give back between networks."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs_mindspore


def test_compiled_graphs_are_given_back_and_a_function_that_is_called_again_computes_the_same():
    import mindspore as ms
    from mindspore.graph.api import ms_compile_cache

    from mindspore_impl.parity import release

    weight = ms.Parameter(ms.Tensor([[1.0, 2.0], [3.0, 4.0]], ms.float32))

    def product(x):
        return (x @ weight).sum()

    step = ms.jit(ms.value_and_grad(product, None, ms.ParameterTuple([weight])))
    x = ms.Tensor([[1.0, -1.0]], ms.float32)
    loss, (gradient,) = step(x)
    before = float(loss.asnumpy()), gradient.asnumpy().tolist()
    assert ms_compile_cache
    release()
    assert not ms_compile_cache
    loss, (gradient,) = step(x)
    assert (float(loss.asnumpy()), gradient.asnumpy().tolist()) == before == (-4.0, [[1.0, 1.0], [-1.0, -1.0]])
