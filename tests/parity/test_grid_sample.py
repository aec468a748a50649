"""Sampling at places: values and gradients of every number of places, and no errors in the log.

MindSpore's CPU kernel takes eight places at once. Its gradient copied no bytes where at most four remained, which the
library that copies reports as an error; the values were right. The shim adds places until more than four remain.
"""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]
MODES = [(mode, padding) for mode in ("bilinear", "nearest") for padding in ("zeros", "border", "reflection")]
#: height and width of the places: every number from 1 to 9, and two with more rows
SIZES = [(1, width) for width in range(1, 10)] + [(3, 4), (5, 5)]


def drawn(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An input, places beyond its borders too, and what the gradient of the result is multiplied by."""
    random = np.random.RandomState(seed)
    shapes = ((2, 3, 4, 5), (2, *size, 2), (2, 3, *size))
    x, places, sent = (random.uniform(-1.6, 1.6, shape).astype(np.float32) for shape in shapes)
    return x, places, sent


def expected(arrays: tuple[np.ndarray, ...], mode: str, padding: str, corners: bool) -> list[np.ndarray]:
    import torch

    x, places, sent = (torch.from_numpy(array) for array in arrays)
    found = torch.nn.functional.grid_sample(x.requires_grad_(), places.requires_grad_(), mode, padding, corners)
    found.backward(sent)
    return [found.detach().numpy(), x.grad.numpy(), places.grad.numpy()]


def strided(array: np.ndarray):
    """The same values as a view of a transposed tensor."""
    import mindspore as ms
    from mindspore import mint

    return mint.transpose(ms.Tensor(np.ascontiguousarray(array.swapaxes(1, 2))), 1, 2)


def compare(found, wanted: list[np.ndarray], what: tuple) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.abs(ours.asnumpy() - theirs).max() <= 4e-6 * max(np.abs(theirs).max(), 1.0), what


def test_every_number_of_places_has_torchs_values_and_gradients_and_logs_no_error(capfd):
    import mindspore as ms
    from mindspore import ops

    from mindspore_impl.mapping_memory import spoil_memory
    from mindspore_impl.shims.sampling import grid_sample

    products = ops.GradOperation(get_all=True, sens_param=True)
    for number, size in enumerate(SIZES):
        for mode, padding in MODES:
            corners = bool(number % 2)

            def sample(x, places, mode=mode, padding=padding, corners=corners):
                return grid_sample(x, places, mode, padding, corners)

            for call, made in enumerate((ms.Tensor, strided, ms.Tensor)):
                arrays = drawn(size, 100 * number + call)
                tensors = [made(array) for array in arrays]
                spoil_memory()
                found = (sample(*tensors[:2]), *products(sample)(*tensors))
                compare(found, expected(arrays, mode, padding, corners), (size, mode, padding, corners, call))
    assert "memcpy_s" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (1, 5), (3, 4)])
def test_the_compiled_gradient_is_torchs_in_every_call(size, capfd):
    import mindspore as ms

    from mindspore_impl.shims.sampling import grid_sample

    def loss(x, places, sent):
        found = grid_sample(x, places, "bilinear", "border", True)
        return (found * sent).sum(), found

    compiled = ms.jit(ms.value_and_grad(loss, (0, 1), has_aux=True))
    for call in range(3):
        arrays = drawn(size, call)
        (_, found), gradients = compiled(*map(ms.Tensor, arrays))
        compare((found, *gradients), expected(arrays, "bilinear", "border", True), (size, call))
    assert "memcpy_s" not in "".join(capfd.readouterr())
