"""What the parity suites give back between networks."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_mindspore

PROGRAM = """
import mindspore as ms
from mindspore.graph.api import ms_compile_cache

from mindspore_impl.parity import release

weight = ms.Parameter(ms.Tensor([[1.0, 2.0], [3.0, 4.0]], ms.float32))

def product(x):
    return (x @ weight).sum()

step, x = ms.jit(ms.value_and_grad(product, None, ms.ParameterTuple([weight]))), ms.Tensor([[1.0, -1.0]], ms.float32)

def found():
    loss, (gradient,) = step(x)
    return float(loss.asnumpy()), gradient.asnumpy().tolist()

assert found() == (-4.0, [[1.0, 1.0], [-1.0, -1.0]])
assert ms_compile_cache
release()
assert not ms_compile_cache
assert found() == (-4.0, [[1.0, 1.0], [-1.0, -1.0]])
assert ms_compile_cache
print("as before")
"""


def test_compiled_graphs_are_given_back_and_a_function_that_is_called_again_computes_the_same(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)  # graphs are made from a function's source
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.endswith("as before\n"), done.stderr
