"""Functions with hand-written backward passes do what the mapped functions do, as long as the step is compiled whole;
the mapped ones do it always."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common.api_mapping.row import arrays_of
from common.api_mapping.rows import find
from common.api_mapping.verify import references, try_target
from tests.support import assert_near
from tests.tolerances import OPERATOR

torch = pytest.importorskip("torch")
ms = pytest.importorskip("mindspore")
mapping = pytest.importorskip("mindspore_impl.mapping")
pytestmark = pytest.mark.needs_mindspore


def used_by_the_models(name: str, case) -> bool:
    """float32, and for norms one axis, for layer norm with weight and bias."""
    arrays = list(arrays_of(case))
    plain = all(array.dtype == "float32" and 0 not in array.shape for array in arrays)
    given = len(case.arguments) + len(case.keywords)
    return plain and (name == "gelu" or (given >= (4 if name == "layer_norm" else 2) and len(case.arguments[1]) == 1))


@pytest.mark.parametrize("name", ["gelu", "layer_norm", "rms_norm"])
def test_fused_functions_pass_the_cases_of_their_row(name):
    from mindspore_impl import fused
    from pytorch_impl import mapping as torch_mapping

    row = find(f"torch.nn.functional.{name}")
    row = replace(row, cases=tuple(case for case in row.cases if used_by_the_models(name, case)))
    outcome = try_target(row, f"fused.{name}", getattr(fused, name), mapping, references(row, torch_mapping))
    assert outcome.cases >= 4
    assert outcome.failures == []


def networks(F):
    """Each function twice in a row. Named functions, since graphs read source."""
    weight, bias = (ms.Tensor(np.linspace(low, 1.5, 6).astype(np.float32)) for low in (0.5, -1.0))

    def gelu(x):
        return F.gelu(F.gelu(x) * 3.0)

    def layer_norm(x):
        return F.layer_norm(F.layer_norm(x, (6,), weight, bias) * x, (6,), weight, bias)

    def rms_norm(x):
        return F.rms_norm(F.rms_norm(x, (6,), weight, 1e-3) * x, (6,), weight, 1e-3)

    def swiglu(x):
        return F.swiglu(F.swiglu(x, x * 2.0) * 3.0, x)

    def softmax(x):
        return F.softmax(F.softmax(x, -1) * 5.0, -1) * x

    return {"gelu": gelu, "layer_norm": layer_norm, "rms_norm": rms_norm, "swiglu": swiglu, "softmax": softmax}


def squared(network):
    def loss(x):
        y = network(x)
        return (y * y).sum()

    return loss


def expected(name: str, x: np.ndarray) -> np.ndarray:
    """The gradient of the sum in float64 torch."""
    T = torch.nn.functional
    weight, bias = (torch.from_numpy(np.linspace(low, 1.5, 6).astype(np.float32)).double() for low in (0.5, -1.0))
    made = {
        "gelu": lambda x: T.gelu(T.gelu(x) * 3.0),
        "layer_norm": lambda x: T.layer_norm(T.layer_norm(x, (6,), weight, bias) * x, (6,), weight, bias),
        "rms_norm": lambda x: T.rms_norm(T.rms_norm(x, (6,), weight, 1e-3) * x, (6,), weight, 1e-3),
        "swiglu": lambda x: T.silu(T.silu(x) * (x * 2.0) * 3.0) * x,
        "softmax": lambda x: T.softmax(T.softmax(x, -1) * 5.0, -1) * x,
    }
    inputs = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    (made[name](inputs) ** 2).sum().backward()
    return inputs.grad.numpy()


HOW = {
    "interpreted": lambda f: ms.grad(f),
    "compiled whole": lambda f: ms.jit(ms.grad(f)),
    "gradient outside the graph": lambda f: ms.grad(ms.jit(f)),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", ["gelu", "layer_norm", "softmax"])
def test_mapped_functions_have_the_right_gradient_however_they_are_compiled(name, how):
    from mindspore_impl import functional as F

    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    network = networks(F)[name]
    gradient = HOW[how](squared(network))(ms.Tensor(x)).asnumpy()
    assert_near(gradient, expected(name, x), 20 * OPERATOR)


@pytest.mark.parametrize("how", ["interpreted", "compiled whole"])
@pytest.mark.parametrize("name", ["gelu", "layer_norm", "rms_norm", "swiglu"])
def test_fused_functions_have_the_right_gradient_where_they_may_be_used(name, how):
    from mindspore_impl import fused

    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    network = networks(fused)[name]
    gradient = HOW[how](squared(network))(ms.Tensor(x)).asnumpy()
    assert_near(gradient, expected(name, x), 20 * OPERATOR)


@pytest.mark.parametrize("how", ["interpreted", "compiled whole"])
def test_queries_are_turned_back_by_the_gradient(how):
    from mindspore_impl.layers.rotary import turned, turned_at_once

    random = np.random.default_rng(1)
    x, cosines, sines = (random.normal(size=(2, 3, 4, 6)).astype(np.float32) for _ in range(3))
    tables = [ms.Tensor(np.concatenate([table[..., :3]] * 2, -1)) for table in (cosines, sines)]

    def at_once(x):
        return turned_at_once(turned_at_once(x, tables[0], tables[1]) * x, tables[0], tables[1])

    def composed(x):
        return turned(turned(x, tables[0], tables[1]) * x, tables[0], tables[1])

    found, plain = (HOW[how](squared(network))(ms.Tensor(x)).asnumpy() for network in (at_once, composed))
    assert_near(found, plain, 20 * OPERATOR)
