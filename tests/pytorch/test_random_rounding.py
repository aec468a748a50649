"""Rounding at random: a float64 computation moves as far as float32 ones do, and no further."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pytorch_impl.random_rounding import RandomRounding  # noqa: E402


def drawn(function, count=200):
    """Results of ``function`` ``(count, ...)``, each with other roundings."""
    found = []
    for seed in range(count):
        with RandomRounding(seed):
            found.append(function().detach().numpy().copy())
    return np.stack(found)


def normal(*shape, seed=0):
    """Float32 numbers, as float64."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return torch.from_numpy(values.astype(np.float64))


def test_a_result_is_one_of_the_two_neighbours_and_on_average_itself():
    x, y = normal(50), normal(50, seed=1)
    found, exact = drawn(lambda: x / y), (x / y).numpy()
    assert (found == found.astype(np.float32)).all()
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(found - exact) <= spacing).all()
    assert len(np.unique(found[:, 0])) == 2
    assert (np.abs(found.mean(0) - exact) < 0.2 * spacing).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.amax(1, keepdim=True) == x,
        lambda x: torch.where(x > 0, x, torch.finfo(x.dtype).min),
        lambda x: x[[2, 0]].t().clone(),
        lambda x: torch.cat([x, -x, torch.zeros_like(x)]),
        lambda x: torch.softmax(torch.full_like(x, -torch.inf).index_fill(1, torch.tensor([1]), 0.0), 1),
        lambda x: x / 0.0,
    ],
    ids=["maximum", "masked", "gathered", "joined", "one_hot", "infinite"],
)
def test_what_float32_represents_stays_as_it_is(function):
    """The lowest number of float64 is none of float32's, and stays."""
    x = normal(5, 7)
    expected = function(x).numpy()
    np.testing.assert_array_equal(drawn(lambda: function(x), 5), np.stack([expected] * 5))


def test_a_sum_moves_as_one_in_order_does_in_float32():
    """Of 2,000 terms: torch's own sum adds in pairs and is nearer, and its cumsum adds in float64; NumPy's adds in order."""
    rows = normal(300, 2000)
    exact = rows.sum(1).numpy()
    in_order = np.cumsum(rows.float().numpy(), 1)[:, -1].astype(np.float64)
    expected = np.sqrt(np.mean((in_order - exact) ** 2))
    moved = np.sqrt(np.mean((drawn(lambda: rows.sum(1), 20) - exact) ** 2))
    assert 0.5 * expected < moved < 2.0 * expected
    product = normal(2000, 1, seed=3)
    exact = (rows @ product).numpy()
    in_order = np.cumsum((rows * product.T).float().numpy(), 1)[:, -1:].astype(np.float64)
    expected = np.sqrt(np.mean((in_order - exact) ** 2))
    moved = np.sqrt(np.mean((drawn(lambda: rows @ product, 20) - exact) ** 2))
    assert 0.5 * expected < moved < 2.0 * expected


def test_what_torch_composes_rounds_within():
    """1 - p of a probability that is nearly one has an error of p's spacing, not of its own."""
    logits = torch.tensor([[20.0, 0.0]], dtype=torch.float64, requires_grad=True)

    def gradient():
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0]), reduction="sum")
        return torch.autograd.grad(loss, logits)[0][0, 0]

    found = drawn(gradient, 400)
    assert abs(gradient().item()) < 3e-9
    assert np.abs(found).max() >= 2.0**-24


@pytest.mark.parametrize("name", ["AdamW", "Adadelta", "SGD"])
def test_a_training_step_by_step_stays_in_float32_and_equal_seeds_are_equal(name):
    def trained():
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.GELU(), torch.nn.Linear(8, 1)
        )
        model.double()
        for parameter in model.parameters():
            parameter.data = parameter.data.float().double()
        optimizer = getattr(torch.optim, name)(model.parameters(), lr=1e-2)
        for step in range(5):
            optimizer.zero_grad()
            model(normal(9, 6, seed=step)).square().mean().backward()
            optimizer.step()
        return torch.cat([parameter.reshape(-1) for parameter in model.parameters()])

    exact, found, again = trained().detach().numpy(), drawn(trained, 3), drawn(trained, 3)
    np.testing.assert_array_equal(found, again)
    assert (found == found.astype(np.float32)).all()
    assert 0 < np.abs(found - exact).max() < 1e-4
    assert len({row.tobytes() for row in found}) == 3
