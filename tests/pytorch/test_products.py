"""Products of frozen layers, through either library."""

import pytest

torch = pytest.importorskip("torch")
modules = pytest.importorskip("pytorch_impl.layers.modules")
pytestmark = pytest.mark.needs_pytorch


@pytest.mark.parametrize("shape", [(1, 5, 3), (0, 4, 2), (33, 64, 17), (128, 1, 8)])
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("size", [1.0, 1e3])
def test_a_product_is_that_of_float64(shape, strided, size):
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(*sizes, generator=generator) * size for sizes in ((rows, inner), (columns, inner), (columns,))
    )
    if strided:
        weight = weight.T.contiguous().T
    for given in (None, bias):
        expected = x.double() @ weight.double().T + (0 if given is None else given.double())
        for fast in (True, False):
            found = modules.product(x, weight, given, fast)
            assert found.shape == (rows, columns)
            scale = (x.double().abs() @ weight.double().abs().T + size).clamp(min=1e-30)
            assert not rows or float(((found.double() - expected).abs() / scale).max()) < 1e-6


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_a_hastened_layer_has_the_gradients_of_a_plain_one(kind):
    layer = torch.nn.Linear(6, 5) if kind == "linear" else modules.Conv1D(5, 6)
    layer.weight.requires_grad_(False)
    x = torch.randn(2, 3, 6, requires_grad=True)
    upstream = torch.randn(2, 3, 5)
    plain = torch.autograd.grad(layer(x), (x, layer.bias), upstream)
    model = torch.nn.Sequential(layer)
    modules.hasten(model)
    assert "forward" in vars(layer)
    fast = torch.autograd.grad(model(x), (x, layer.bias), upstream)
    for ours, theirs in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_layer_that_is_trained_stays_as_it_is():
    layer = torch.nn.Linear(6, 5)
    modules.hasten(torch.nn.Sequential(layer))
    assert "forward" not in vars(layer)


def test_an_infinite_or_missing_number_is_not_lost():
    x = torch.tensor([[1.0, float("nan")], [float("inf"), 1.0]])
    found = modules.product(x, torch.ones(3, 2))
    assert torch.isnan(found[0]).all()
    assert torch.isinf(found[1]).all()


def test_gelu_in_one_operator_is_that_of_transformers():
    from transformers.activations import NewGELUActivation

    model = torch.nn.Sequential(NewGELUActivation())
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([0.0, -0.0, 1e4, -1e4])])
    before = model(x.double())
    pytest.importorskip("pytorch_impl.hf_bridge.surgery").fuse(model)
    assert isinstance(model[0], torch.nn.GELU)
    torch.testing.assert_close(model(x).double(), before, rtol=2e-6, atol=1e-6)
