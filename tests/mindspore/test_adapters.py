"""What the mapping's rows do not compare: running statistics, which elements dropout drops together, refusals, and
calls that are repeated."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ms = pytest.importorskip("mindspore")
F = pytest.importorskip("mindspore_impl.functional")
T = torch.nn.functional
pytestmark = pytest.mark.needs_mindspore
X = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)


def statistics(library) -> tuple:
    make = torch.tensor if library is torch else ms.Tensor
    return make(np.array([0.5, -1.0, 0.0], np.float32)), make(np.array([1.0, 2.0, 0.5], np.float32))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics_follow_the_batch_as_in_torch(name, compiled):
    mean, var = statistics(torch)
    keywords = {"momentum": 0.3, **({"training": True} if name == "batch_norm" else {})}
    expected = getattr(T, name)(torch.from_numpy(X), mean, var, **keywords)
    function = getattr(F, name)

    def call(x, running_mean, running_var):
        return function(x, running_mean, running_var, **keywords)

    our_mean, our_var = statistics(ms)
    found = (ms.jit(call) if compiled else call)(ms.Tensor(X), our_mean, our_var)
    np.testing.assert_allclose(found.asnumpy(), expected.numpy(), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(our_mean.asnumpy(), mean.numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(our_var.asnumpy(), var.numpy(), rtol=1e-6)
    assert not np.allclose(our_mean.asnumpy(), statistics(torch)[0].numpy())


@pytest.mark.parametrize(
    ("name", "shape"), [("dropout1d", (50, 40, 6)), ("dropout2d", (50, 40, 3, 2)), ("dropout3d", (50, 40, 3, 2, 2))]
)
def test_dropout_of_channels_drops_whole_ones(name, shape):
    found = getattr(F, name)(ms.Tensor(np.ones(shape, np.float32)), 0.25).asnumpy().reshape(*shape[:2], -1)
    assert (found == found[..., :1]).all()
    assert set(np.unique(found)) == {np.float32(0.0), np.float32(1.0) / np.float32(0.75)}
    assert abs((found[..., 0] == 0).mean() - 0.25) < 0.05


def test_dropout_of_elements_is_independent_along_every_axis():
    kept = F.dropout(ms.Tensor(np.ones((200, 300), np.float32)), 0.5).asnumpy() > 0
    assert kept.any(axis=0).all()
    assert kept.any(axis=1).all()
    assert not kept.all(axis=0).any()
    assert not kept.all(axis=1).any()


@pytest.mark.parametrize("name", ["relu6", "leaky_relu", "elu", "hardtanh", "dropout"])
def test_a_change_in_place_is_refused_rather_than_forgotten(name):
    with pytest.raises(ValueError, match="inplace=True is not available"):
        getattr(F, name)(ms.Tensor(X), inplace=True)


def test_cutting_pads_give_the_same_every_time():
    """MindSpore's own negative pads are right once and wrong in the following calls."""
    expected = T.pad(torch.from_numpy(X), (-1, 2, 1, -1)).numpy()
    for _ in range(4):
        np.testing.assert_array_equal(F.pad(ms.Tensor(X), (-1, 2, 1, -1)).asnumpy(), expected)


def test_attention_without_weights_for_a_row_is_zero_and_its_gradient_finite():
    query = ms.Tensor(X)
    mask = ms.Tensor(np.array([[False] * 3, [True] * 3, [True, False, False]]))

    def total(x):
        return F.scaled_dot_product_attention(x, x, x, mask).sum()

    assert not F.scaled_dot_product_attention(query, query, query, mask).asnumpy()[:, 0].any()
    assert np.isfinite(ms.grad(total)(query).asnumpy()).all()


def test_flipping_an_empty_tensor_returns_it():
    """Which may end the process where MindSpore's own does it."""
    from mindspore_impl import functional

    for _ in range(20):
        assert functional.flip(ms.Tensor(np.zeros((0, 3), np.float32)), (1,)).shape == (0, 3)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_row_that_sees_nothing_leaves_the_others_of_attention_as_they_are(compiled):
    """MindSpore's softmax on the CPU leaves every row behind one of -infinity alone unwritten."""
    from mindspore_impl import nn

    torch.manual_seed(0)
    theirs, ours = torch.nn.MultiheadAttention(8, 2, batch_first=True), nn.MultiheadAttention(8, 2, batch_first=True)
    arrays = {name: value.detach().numpy() for name, value in theirs.named_parameters()}
    for name, parameter in ours.parameters_and_names():
        parameter.set_data(ms.Tensor(arrays[name]))
    x, mask = np.random.RandomState(1).randn(3, 5, 8).astype(np.float32), np.zeros((5, 5), bool)
    mask[2], mask[3, 1:] = True, True
    expected = theirs(*[torch.from_numpy(x)] * 3, attn_mask=torch.from_numpy(mask))[0].detach().numpy()

    def call(x, mask):
        return ours(x, x, x, attn_mask=mask)[0]

    found = (ms.jit(call) if compiled else call)(ms.Tensor(x), ms.Tensor(mask)).asnumpy()
    assert np.isnan(expected[:, 2]).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_layer_norm_of_deviations_small_beside_their_mean_has_exact_gradients(compiled):
    """Torch in float64 is the reference: in float32 its own gradient is off by 1e-3 here."""
    random = np.random.RandomState(2)
    x, sent, weight = random.randn(6, 64) + 1e4, random.randn(6, 64), random.randn(64)
    x, sent, weight = (array.astype(np.float32) for array in (x, sent, weight))
    exact = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (T.layer_norm(exact, (64,), torch.tensor(weight).double()) * torch.tensor(sent).double()).sum().backward()

    def loss(x, sent, weight):
        return (F.layer_norm(x, (64,), weight) * sent).sum()

    gradient = ms.grad(loss)
    found = (ms.jit(gradient) if compiled else gradient)(*map(ms.Tensor, (x, sent, weight))).asnumpy()
    np.testing.assert_allclose(found, exact.grad.numpy(), rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("keywords", [{}, {"tau": 1, "hard": True, "dim": -2}])
def test_a_row_of_nothing_leaves_the_others_of_gumbel_softmax_as_they_are(keywords, compiled):
    x, axis = np.zeros((6, 3), np.float32), keywords.get("dim", -1)
    x[(1,) if axis == -1 else (slice(None), 1)] = -np.inf

    def call(x):
        return F.gumbel_softmax(x, **keywords)

    found = (ms.jit(call) if compiled else call)(ms.Tensor(x)).asnumpy()
    sums = np.delete(found.sum(axis), 1)
    np.testing.assert_allclose(sums, np.ones_like(sums), rtol=1e-6)
    assert np.isnan(found.sum(axis)[1])
