"""MindSpore's operators against float64 torch, values and gradients, on normal, wide and edge inputs."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend import IGNORE
from tests.support import assert_near
from tests.tolerances import OPERATOR, OPERATOR_EXP

torch = pytest.importorskip("torch")
T = torch.nn.functional
F = pytest.importorskip("mindspore_impl.functional")
ms = pytest.importorskip("mindspore")
pytestmark = pytest.mark.needs_mindspore
GENERATOR = np.random.default_rng(0)
# No subnormal numbers (below 1.18e-38): MindSpore computes on a pool of threads of which some take them for zero now
# and then.
REGIMES = {
    "normal": GENERATOR.normal(size=(4, 7)),
    "wide": np.linspace(-20, 20, 41).reshape(1, -1),
    "tiny": GENERATOR.normal(size=(3, 5)) * 1e-20,
    "edge": np.array([[0.0, -0.0, 1.2e-38, -1.2e-38, 1.0, -1.0, 88.0, -88.0]]),
    "huge": GENERATOR.normal(size=(3, 5)) * 1e4,
}
ELEMENTWISE = {
    "tanh": (F.tanh, torch.tanh),
    "relu": (F.relu, T.relu),
    "gelu": (F.gelu, T.gelu),
    "gelu-tanh": (lambda x: F.gelu(x, "tanh"), lambda x: T.gelu(x, approximate="tanh")),
    "softmax": (F.softmax, lambda x: T.softmax(x, -1)),
}


def value_and_gradient(function, x: np.ndarray, upstream: np.ndarray):
    """y and the gradient of sum(y * upstream) in MindSpore, float32."""
    factor = ms.Tensor(upstream.astype(np.float32))

    def loss(x):
        y = function(x)
        return (y * factor).sum(), y

    (_, y), gradient = ms.value_and_grad(loss, 0, has_aux=True)(ms.Tensor(x.astype(np.float32)))
    return y.asnumpy(), gradient.asnumpy()


def reference(function, x: np.ndarray, upstream: np.ndarray):
    """The same in torch, float64, at the float32 inputs."""
    inputs = torch.from_numpy(x.astype(np.float32).astype(np.float64)).requires_grad_()
    y = function(inputs)
    (y * torch.from_numpy(upstream)).sum().backward()
    return y.detach().numpy(), inputs.grad.numpy()


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_activations_and_softmax_are_accurate_to_float32(name, regime):
    ours, theirs = ELEMENTWISE[name]
    x = REGIMES[regime]
    upstream = np.random.default_rng(1).normal(size=x.shape).astype(np.float32).astype(np.float64)
    tolerance = OPERATOR_EXP if name == "softmax" else OPERATOR
    for actual, expected in zip(value_and_gradient(ours, x, upstream), reference(theirs, x, upstream), strict=True):
        assert np.isfinite(actual).all()
        if np.abs(expected).max() < 1e-30:
            assert np.abs(actual).max() <= 1e-30
        else:
            assert_near(actual, expected, tolerance)


def test_tanh_stays_within_its_range_and_saturates():
    x = np.linspace(-20, 20, 2001).astype(np.float32)
    y = F.tanh(ms.Tensor(x)).asnumpy()
    assert np.abs(y).max() <= 1.0
    assert_near(y, np.tanh(x.astype(np.float64)), 1e-7, absolute=True)
    assert y.dtype == np.float32


@pytest.mark.parametrize("eps", [1e-12, 1e-5])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_layer_norm_and_its_gradients(eps, scale):
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(5, 8)) * scale + scale).astype(np.float32)
    weight, bias, upstream = (generator.normal(size=shape).astype(np.float32) for shape in ((8,), (8,), (5, 8)))
    parameters = [torch.from_numpy(array.astype(np.float64)).requires_grad_() for array in (x, weight, bias)]
    y = T.layer_norm(parameters[0], (8,), *parameters[1:], eps)
    (y * torch.from_numpy(upstream)).sum().backward()

    def loss(x, weight, bias):
        y = F.layer_norm(x, (8,), weight, bias, eps)
        return (y * ms.Tensor(upstream)).sum(), y

    (_, actual), gradients = ms.value_and_grad(loss, (0, 1, 2), has_aux=True)(
        *(ms.Tensor(array) for array in (x, weight, bias))
    )
    assert_near(actual.asnumpy(), y.detach().numpy(), 2 * OPERATOR)
    for gradient, parameter in zip(gradients, parameters, strict=True):
        assert_near(gradient.asnumpy(), parameter.grad.numpy(), 3 * OPERATOR)


def test_layer_norm_of_a_constant_row_is_finite():
    x = np.full((2, 8), 3.0, np.float32)
    one, zero = ms.Tensor(np.ones(8, np.float32)), ms.Tensor(np.zeros(8, np.float32))
    y, gradient = value_and_gradient(lambda x: F.layer_norm(x, (8,), one, zero, 1e-12), x, np.ones((2, 8)))
    assert not y.any()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5), (2, 1, 3, 5)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_takes_any_number_of_leading_axes(shape, with_bias):
    generator = np.random.default_rng(0)
    x, weight, bias = (generator.normal(size=s).astype(np.float32) for s in (shape, (4, 5), (4,)))
    y = F.linear(ms.Tensor(x), ms.Tensor(weight), ms.Tensor(bias) if with_bias else None).asnumpy()
    assert_near(y, x.astype(np.float64) @ weight.T.astype(np.float64) + (bias if with_bias else 0), OPERATOR)


def test_embedding_sums_the_gradients_of_repeated_ids():
    weight = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    ids = ms.Tensor(np.array([[5, 0, 5], [5, 1, 0]], np.int32))
    y, gradient = value_and_gradient(lambda w: F.embedding(ids, w), weight, np.ones((2, 3, 3)))
    assert np.array_equal(y, weight[ids.asnumpy()])
    assert np.array_equal(gradient, np.array([2, 1, 0, 0, 0, 3], np.float32)[:, None] * np.ones(3, np.float32))


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 5)])
def test_cross_entropy_is_a_sum_over_scored_labels(shape, scale):
    generator = np.random.default_rng(0)
    logits = (generator.normal(size=shape) * scale).astype(np.float32)
    labels = generator.integers(0, shape[-1], shape[:-1]).astype(np.int32)
    labels.flat[::3] = IGNORE
    inputs = torch.from_numpy(logits.astype(np.float64)).requires_grad_()
    expected = T.cross_entropy(
        inputs.flatten(0, -2), torch.from_numpy(labels).long().flatten(), ignore_index=IGNORE, reduction="sum"
    )
    expected.backward()
    loss, gradient = ms.value_and_grad(lambda x: F.cross_entropy_sum(x, ms.Tensor(labels)), 0)(ms.Tensor(logits))
    assert_near(loss.asnumpy(), expected.detach().numpy(), OPERATOR_EXP)
    assert_near(gradient.asnumpy(), inputs.grad.numpy(), OPERATOR_EXP)
    assert not gradient.asnumpy()[labels == IGNORE].any()


def test_cross_entropy_of_no_scored_label_is_zero():
    logits = ms.Tensor(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    loss, gradient = ms.value_and_grad(lambda x: F.cross_entropy_sum(x, ms.Tensor(np.full(3, IGNORE, np.int32))), 0)(
        logits
    )
    assert float(loss.asnumpy()) == 0.0
    assert not gradient.asnumpy().any()


def test_dropout_keeps_the_expectation_and_is_off_in_evaluation():
    x = ms.Tensor(np.ones((200, 200), np.float32))
    y = F.dropout(x, 0.25).asnumpy()
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1.0) / np.float32(0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert np.array_equal(F.dropout(x, 0.25, False).asnumpy(), x.asnumpy())
    assert np.array_equal(F.dropout(x, 0.0).asnumpy(), x.asnumpy())
    assert not np.array_equal(F.dropout(x, 0.25).asnumpy(), y), "a second mask"


@pytest.mark.parametrize("rows", [4, 5, 33])
def test_a_compiled_loss_is_the_same_in_every_call(rows):
    """The device's kernels try other numbers of threads in their first calls, and then keep the fastest."""
    logits = np.random.default_rng(rows).uniform(-0.3, 0.3, size=(rows, 2)).astype(np.float32)
    labels = ms.Tensor((np.arange(rows) % 2).astype(np.int32))
    compiled = ms.jit(F.cross_entropy_sum)
    assert len({compiled(ms.Tensor(logits), labels).asnumpy().tobytes() for _ in range(40)}) == 1


def test_the_slope_of_the_normal_distributions_logarithm_is_right_far_below():
    special = pytest.importorskip("mindspore_impl.special")
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 40
    x = np.random.default_rng(0).uniform(-30.0, 6.0, 200)
    slope = ms.grad(lambda v: special.log_ndtr(v).sum())(ms.Tensor(x)).asnumpy()
    exact = np.array([float(mpmath.npdf(v) / mpmath.ncdf(v)) for v in x])
    np.testing.assert_allclose(slope, exact, rtol=2e-14)
