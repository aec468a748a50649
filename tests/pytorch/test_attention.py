"""Attention with a hand-written backward pass, against what autograd makes of its definition."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.needs_pytorch


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def assert_same(ours, theirs, inputs, **near):
    """Values and gradients of two functions."""
    found = []
    for function in (ours, theirs):
        y = function(*inputs)
        upstream = torch.randn(y.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(y.dtype)
        found.append([y, *torch.autograd.grad(y, [x for x in inputs if x.requires_grad], upstream)])
    for mine, other in zip(*found, strict=True):
        assert mine.dtype == other.dtype
        torch.testing.assert_close(mine, other, **near)


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_diagonals_are_a_gather(length, exchanged):
    from pytorch_impl.hf_bridge.relative import _Aligned

    heads, batch = 2, 3
    products = drawn(heads, batch, length, 2 * length - 1)
    scores = drawn(batch, heads, length, length, seed=1)
    index = length - 1 + torch.arange(length) - torch.arange(length)[:, None]  # the other's place less one's own

    def gathered(products, scores):
        found = products.transpose(0, 1).gather(3, index.expand(batch, heads, length, length))
        return scores + (found.transpose(2, 3) if exchanged else found)

    assert_same(lambda p, s: _Aligned.apply(p, s, exchanged), gathered, (products, scores))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("pairs", [1, 2, 4])
@pytest.mark.parametrize("shape", [(3, 4, 5, 7), (1, 4, 5, 7), (3, 1, 5, 7), (1, 1, 1, 7)])
def test_attention_of_shared_keys_and_of_trained_scores(monkeypatch, shape, pairs, dropout):
    """Keys of several heads, and the gradient of what is added to the scores, whose shape is broadcast."""
    from pytorch_impl.layers import attention as module
    from pytorch_impl.layers.dropout import Dropout, DropoutKey

    layer = Dropout("layer", dropout).train()
    layer.key = DropoutKey("cpu")
    layer.key.set(3, 1, 0)
    query, key, value = drawn(3, 4, 5, 6), drawn(3, pairs, 7, 6, seed=1), drawn(3, pairs, 7, 6, seed=2)
    inputs = (query, key, value, drawn(*shape, seed=3))
    for piece in (1, 10**6):
        for kept in (1, 10**6):
            monkeypatch.setattr(module, "PIECE", piece)
            monkeypatch.setattr(module, "KEPT", kept)
            assert_same(*(lambda *x, by=by: module.attention(*x, 0.5, layer, by) for by in (True, False)), inputs)
