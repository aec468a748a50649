"""Compiled functions and modules: the same values, gradients and statistics as without, or an error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mindspore_impl import torch_api as torch
from mindspore_impl.torch_api import nn
from tests.tolerances import EXECUTION


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Dropout(0.0), nn.Linear(48, 4)
    )


def train(model: nn.Module) -> list[np.ndarray]:
    torch.manual_seed(1)
    x, y = torch.randn(5, 1, 4, 4), torch.tensor([0, 1, 2, 3, 0])
    optimizer, found = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        found += [loss.detach().numpy(), *(p.grad.numpy() for p in model.parameters())]
        optimizer.step()
    model.eval()
    return [*found, model(x).detach().numpy(), *(value.numpy() for value in model.state_dict().values())]


def test_a_compiled_module_trains_as_without_compiling():
    expected, found = train(network()), train(torch.compile(network()))
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert np.abs(one - two).max() <= 10 * EXECUTION * max(np.abs(two).max(), 1.0)


def test_a_graph_follows_its_parameters_and_its_inputs():
    layer = torch.compile(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        for value in (1.0, 5.0):
            layer.weight.fill_(value)
            for x in (1.0, -3.0):
                assert layer(torch.full((1, 2), x)).item() == 2 * x * value


def test_dropout_is_drawn_anew_in_every_call():
    drop = torch.compile(lambda x: nn.functional.dropout(x, 0.5))
    first, second = (drop(torch.ones(200)).numpy() for _ in range(2))
    assert set(first) == {0.0, 2.0}
    assert (first != second).any()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 2 if x.sum() > 0 else x,
        lambda x: x * x.max().item(),
        lambda x: x + x.detach().numpy().sum(),
        lambda x: x * torch.randn(3),
    ],
)
def test_a_value_that_would_become_a_constant_is_refused(function):
    with pytest.raises(RuntimeError, match=r"constant|same numbers"):
        torch.compile(function)(torch.ones(3))
    assert torch.ones(3).sum().item() == 3.0  # the trace that failed is over


def test_a_function_whose_trace_is_not_whole_is_refused():
    with pytest.raises(RuntimeError, match="cannot be compiled"):
        torch.compile(lambda x: x.roll(1, 1))(torch.arange(6.0).view(2, 3))


class Scaled(nn.Module):
    """A network whose last layer is not used."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.last(nn.functional.gelu(self.norm(self.first(x))))


def accumulate(compiled: bool) -> list[np.ndarray | None]:
    """Losses and gradients of steps whose gradient is that of two batches, one of them divided; and what is left."""
    torch.manual_seed(0)
    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss_of(x, y, scale):
        found = model(x)
        return nn.functional.cross_entropy(found, y) * scale, found.detach()

    call, kept = torch.compile(loss_of) if compiled else loss_of, []
    for _ in range(3):
        optimizer.zero_grad()
        for part in range(2):
            x, y = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
            loss, found = call(x, y, torch.tensor(1.0 + part))
            (loss / 3 if part else loss).backward()
            kept += [loss.detach().numpy(), found.numpy()]
        kept += [None if p.grad is None else p.grad.numpy() for p in model.parameters()]
        optimizer.step()
    with torch.no_grad():
        kept.append(call(x, y, torch.tensor(1.0))[0].numpy())
    return kept + [value.numpy() for value in model.state_dict().values()]


def test_a_loss_and_its_gradients_are_one_graph(monkeypatch):
    from mindspore_impl.torch_api import compiling

    evaluated, once = [], compiling._Joint._evaluated
    monkeypatch.setattr(compiling._Joint, "_evaluated", lambda self, given: evaluated.append(1) or once(self, given))
    found = accumulate(True)
    assert len(evaluated) >= 6  # one in each call that has a gradient
    for number, (one, two) in enumerate(zip(found, accumulate(False), strict=True)):
        assert (one is None) == (two is None), number  # parameters that are not used have no gradient
        if one is not None:
            assert np.abs(one - two).max() <= 10 * EXECUTION * max(np.abs(two).max(), 1.0), number


def test_a_mask_of_dropout_is_the_same_in_the_loss_and_its_gradient():
    weight = nn.Parameter(torch.ones(200))
    call = torch.compile(lambda given: nn.functional.dropout(given, 0.5).sum())
    seen = []
    for _ in range(3):
        weight.grad = None
        loss = call(weight)
        loss.backward()
        assert set(weight.grad.numpy()) == {0.0, 2.0}
        assert loss.item() == weight.grad.sum().item()
        seen.append(weight.grad.numpy().tobytes())
    assert len(set(seen)) == 3


def test_a_loss_of_a_value_that_would_become_a_constant_is_refused():
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(RuntimeError, match="constant"):
        torch.compile(lambda given: (given * given.max().item()).sum())(weight)
    call = torch.compile(lambda given: (given * given).sum())
    call(weight).backward()
    assert weight.grad.tolist() == [2.0, 2.0, 2.0]


def test_later_calls_of_a_graph_give_results_of_their_own():
    """They go to the graph at once: results stay as they are, views are read as such, other parameters are seen."""
    import mindspore as ms

    from mindspore_impl.torch_api.graphs import Compiled

    weights = [ms.Parameter(ms.Tensor([[value, value, value]], ms.float32)) for value in (1.0, 10.0)]

    def scaled(w, x):
        return x * w, (x.sum(),)

    call = Compiled(scaled)
    base = ms.Tensor(np.arange(6, dtype=np.float32).reshape(3, 2))
    with torch.no_grad():
        first, (total,) = call(weights[0], ms.ops.ones((2, 3)))
        kept = first.asnumpy().copy()
        found = [call(weight, x)[0].asnumpy() for weight in weights for x in (ms.ops.ones((2, 3)), base.T)]
        assert (first.asnumpy() == kept).all()
        assert total.asnumpy() == 6.0
        assert len(call.phases) == 2
        weights[1].set_data(ms.Tensor([[2.0, 2.0, 2.0]]))
        found.append(call(weights[1], base.T)[0].asnumpy())
        assert call(weights[1], ms.ops.ones((4, 3)))[0].shape == (4, 3)
    expected = [(1, np.ones((2, 3))), (1, base.asnumpy().T), (10, np.ones((2, 3))), (10, base.asnumpy().T)]
    for array, (factor, x) in zip(found, [*expected, (2, base.asnumpy().T)], strict=True):
        np.testing.assert_array_equal(array, factor * x)


def test_a_graph_that_was_given_back_is_made_again():
    import mindspore as ms

    from mindspore_impl.torch_api.graphs import Compiled

    def twice(x):
        return x * 2

    call, x = Compiled(twice), ms.ops.ones(3)
    with torch.no_grad():
        for _ in range(2):
            assert (call(x).asnumpy() == 2).all()
            assert (call(x).asnumpy() == 2).all()
            ms.ms_memory_recycle()


def test_every_call_of_a_compiled_loss_draws_its_dropout_anew():
    x = torch.ones(500).requires_grad_()
    loss = torch.compile(lambda x: nn.functional.dropout(x, 0.5).sum())
    masks = []
    for _ in range(4):
        x.grad = None
        loss(x).backward()
        masks.append(x.grad.numpy())
    assert all((one != two).any() for one, two in itertools.pairwise(masks))
