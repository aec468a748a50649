"""Ordinary PyTorch networks: one source, run by torch and, its imports changed, by the surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mindspore")
torch = pytest.importorskip("torch")

from mindspore_impl import torch_api  # noqa: E402
from tests.mindspore.torch_api.porting import changed, module  # noqa: E402
from tests.tolerances import ACCUMULATION, GRADIENT, ROUNDED, UPDATE  # noqa: E402

PROGRAMS = sorted(Path(__file__).parent.joinpath("programs").glob("*.py"))
STEPS = 3


def array(value) -> np.ndarray:
    return value.detach().cpu().numpy()


def close(found, expected, tolerance: float) -> None:
    """Errors are relative to the largest expected value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * max(np.abs(expected).max(initial=0.0), 1e-3)


#: which take longest, and of whose kind another is kept
LATER = ("gru_attention", "unet", "crf", "resnet")


@pytest.fixture(
    params=[
        pytest.param(path, id=path.stem, marks=[pytest.mark.nightly] if path.stem in LATER else []) for path in PROGRAMS
    ]
)
def pair(request):
    """Both programs, and their models with the same weights."""
    source = request.param.read_text(encoding="utf-8")
    theirs, ours = module(f"theirs_{request.param.stem}", source), module(f"ours_{request.param.stem}", changed(source))
    models = []
    for program, framework in ((theirs, torch), (ours, torch_api)):
        framework.manual_seed(7)
        models.append(program.Network())
    return theirs, ours, *models


def batches(theirs, ours):
    """The same batch in both."""
    torch.manual_seed(3)
    given = theirs.batch()
    return given, tuple(torch_api.from_numpy(value.numpy()) for value in given)


def test_a_network_trains_with_the_same_numbers(pair):
    theirs, ours, model, ported = pair
    assert list(ported.state_dict()) == list(model.state_dict())
    ported.load_state_dict({name: value.numpy() for name, value in model.state_dict().items()})
    given, converted = batches(theirs, ours)
    optimizers = theirs.optimizer(model), ours.optimizer(ported)
    for step in range(STEPS):
        losses = theirs.loss(model, *given), ours.loss(ported, *converted)
        assert losses[1].item() == pytest.approx(losses[0].item(), rel=GRADIENT, abs=1e-5)
        for loss, optimizer in zip(losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
        if step == 0:
            noise = compare_gradients(model, ported)
        for optimizer in optimizers:
            optimizer.step()
    for name, value in model.state_dict().items():
        kept = ~noise.get(name, np.zeros(value.shape, bool))
        close(array(ported.state_dict()[name])[kept], array(value)[kept], 10 * UPDATE)


def compare_gradients(model, ported) -> dict[str, np.ndarray]:
    """Compare every gradient; says which elements are rounding, as of a bias that softmax or a norm takes away again.
    What Adam makes of rounding is not compared: it divides by the gradient's own size. Elements that are 0 in both are no
    rounding, and their updates (of weight decay and momentum) are compared."""
    pairs = list(zip(model.named_parameters(), ported.named_parameters(), strict=True))
    largest = max(np.abs(array(one.grad)).max() for (_, one), _ in pairs)
    noise = {}
    for (name, one), (other, two) in pairs:
        assert name == other
        small, zero = np.abs(array(one.grad)) < ROUNDED * largest, (array(one.grad) == 0) & (array(two.grad) == 0)
        assert np.abs(array(two.grad))[small].max(initial=0.0) < 10 * ROUNDED * largest
        noise[name] = small & ~zero
        if not noise[name].all():
            close(array(two.grad), array(one.grad), GRADIENT)
    return noise


def test_start_values_are_those_of_torch(pair):
    """The same seed gives the same weights, but for the rounding of logarithm and cosine in normal numbers."""
    _, _, model, ported = pair
    for name, value in model.state_dict().items():
        close(array(ported.state_dict()[name]), array(value), ACCUMULATION)
