"""L-BFGS and Adafactor: every step is torch's, also after state was saved and loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindspore_impl import torch_api

torch = pytest.importorskip("torch")
ADAFACTOR = [
    {},
    {"lr": 0.3, "d": 2.0},
    {"weight_decay": 0.1, "maximize": True, "beta2_decay": -0.5},
    {"eps": (1e-4, 0.5), "lr": 1.0},
]
LBFGS = [
    {},
    {"lr": 0.2, "max_iter": 4, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 9, "history_size": 3, "lr": 2.0},
    {"max_iter": 1},
    {"lr": 0.5, "tolerance_change": 1e-2, "tolerance_grad": 1e-3},
]


def regression(library: Any, double: bool) -> tuple[list[Any], Any]:
    """Parameters, and the loss of a small network with a penalty, by which it has one minimum and rounding fades."""
    random, kind = np.random.RandomState(4), np.float64 if double else np.float32
    x, y = (library.tensor(random.randn(*shape).astype(kind)) for shape in ((20, 5), (20, 2)))
    shapes = [(5, 6), (6,), (6, 2), (2,), ()]
    parameters = [library.tensor(np.asarray(0.5 * random.randn(*shape), kind), requires_grad=True) for shape in shapes]

    def loss() -> Any:
        first, bias, second, shift, scale = parameters
        found = ((x @ first + bias).tanh() @ second + shift) * (scale + 1)
        return (found - y).pow(2).mean() + 0.05 * sum((p * p).sum() for p in parameters)

    return parameters, loss


def valley(library: Any, double: bool) -> tuple[list[Any], Any]:
    """Rosenbrock's function."""
    point = library.tensor(np.array([-1.5, 2.0], np.float64 if double else np.float32), requires_grad=True)
    return [point], lambda: (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2


def steps(
    library: Any, name: str, options: dict[str, Any], problem: Any, double: bool, count: int, again: int
) -> list[Any]:
    parameters, loss = problem(library, double)
    make = getattr(library.optim, name)
    optimizer, found = make(parameters, **options), []

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for number in range(count):
        if number == again:
            kept, optimizer = optimizer.state_dict(), make(parameters, **options)
            optimizer.load_state_dict(kept)
        value = optimizer.step(closure)
        found += [value.detach().numpy().copy(), *[p.detach().numpy().copy() for p in parameters]]
    return found


@pytest.mark.parametrize("options", LBFGS)
@pytest.mark.parametrize("problem", [regression, valley])
def test_lbfgs_makes_torchs_steps(options, problem):
    """In float64, since iterations enlarge rounding, about tenfold each; calls of twenty iterations are compared twice."""
    count = 20 if options.get("max_iter", 20) < 20 else 2
    expected, found = (steps(library, "LBFGS", options, problem, True, count, 1) for library in (torch, torch_api))
    size = len(found) // count
    for number, (one, two) in enumerate(zip(found, expected, strict=True)):
        assert one.dtype == two.dtype
        tolerance = 1e-9 if number < 3 * size else 1e-5
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("options", LBFGS)
def test_lbfgs_makes_torchs_first_steps_in_float32(options):
    short = {**options, "max_iter": min(options.get("max_iter", 20), 3)}
    expected, found = (steps(library, "LBFGS", short, regression, False, 2, 1) for library in (torch, torch_api))
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == two.dtype == np.float32
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def straight(library: Any, double: bool) -> tuple[list[Any], Any]:
    """A plane, of which cubic interpolation divides by zero."""
    point = library.tensor(np.ones(3, np.float64 if double else np.float32), requires_grad=True)
    return [point], lambda: point.sum()


@pytest.mark.parametrize("double", [False, True])
def test_lbfgs_searches_along_a_straight_line_as_torch_does(double):
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    expected, found = (steps(library, "LBFGS", options, straight, double, 1, 1) for library in (torch, torch_api))
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("options", ADAFACTOR)
def test_adafactor_makes_torchs_steps(options):
    expected, found = (
        steps(library, "Adafactor", options, regression, False, 20, 11) for library in (torch, torch_api)
    )
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("name", "options"), [("LBFGS", {**LBFGS[2], "max_iter": 4}), ("Adafactor", ADAFACTOR[0])])
def test_torchs_own_state_is_continued(name, options):
    parameters, loss = regression(torch, True)
    theirs = getattr(torch.optim, name)(parameters, **options)
    ours_parameters, ours_loss = regression(torch_api, True)
    ours = getattr(torch_api.optim, name)(ours_parameters, **options)

    def closure(optimizer: Any, loss: Any) -> Any:
        def call() -> Any:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        return call

    for _ in range(3):
        theirs.step(closure(theirs, loss))
    ours.load_state_dict(theirs.state_dict())
    with torch_api.no_grad():
        for one, two in zip(ours_parameters, parameters, strict=True):
            one.copy_(torch_api.tensor(two.detach().numpy()))
    for _ in range(3):
        theirs.step(closure(theirs, loss))
        ours.step(closure(ours, ours_loss))
    for one, two in zip(ours_parameters, parameters, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), two.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_a_schedule_and_refusals_are_torchs():
    for library in (torch, torch_api):
        x, other = (library.ones(size, requires_grad=True) for size in (3, 2))
        for make in (
            lambda optim, x: optim.LBFGS([x], lr=-1.0),
            lambda optim, x, other=other: optim.LBFGS([{"params": [x]}, {"params": [other]}]),
            lambda optim, x: optim.Adafactor([x], d=0.5),
            lambda optim, x: optim.Adafactor([x], beta2_decay=0.1),
        ):
            with pytest.raises(ValueError, match=r"should be|Invalid|support"):
                make(library.optim, x)
        optimizer = library.optim.LBFGS([x], line_search_fn="armijo")
        with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
            optimizer.step(lambda x=x: backward(x))
        optimizer = library.optim.Adafactor([x], lr=1.0)
        schedule = library.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        optimizer.step(lambda x=x: backward(x))
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == 0.5


def backward(x: Any) -> Any:
    loss = (x * x).sum()
    loss.backward()
    return loss
