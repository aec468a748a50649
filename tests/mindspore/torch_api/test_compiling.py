"""Compiled functions and modules: the same values, gradients and statistics as without, or an error."""

from __future__ import annotations

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
