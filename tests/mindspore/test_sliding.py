"""Convolutions on the CPU as products over windows, beside MindSpore's own kernel and NumPy in float64."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.support import assert_near
from tests.tolerances import GRADIENT, LAYER

ms = pytest.importorskip("mindspore")
pytestmark = pytest.mark.needs_mindspore

from mindspore import ops  # noqa: E402

from mindspore_impl import functional as F  # noqa: E402
from mindspore_impl.shims import sliding  # noqa: E402

#: input, weight; stride, padding, dilation, groups
CASES = {
    "plain": ((2, 3, 7, 6), (4, 3, 3, 2), 1, 0, 1, 1),
    "strided": ((2, 3, 9, 8), (4, 3, 3, 3), (2, 3), (1, 2), 1, 1),
    "dilated": ((2, 4, 9, 8), (6, 4, 3, 2), 2, 2, (2, 3), 1),
    "grouped": ((3, 4, 6, 5), (6, 2, 3, 3), 1, 1, 1, 2),
    "depthwise": ((3, 4, 6, 5), (8, 1, 3, 3), 2, 1, 1, 4),
    "points": ((3, 4, 6, 5), (8, 4, 1, 1), 1, 0, 1, 1),
}


def _arrays(case: str, transposed: bool) -> list[np.ndarray]:
    image, weight, *_, groups = CASES[case]
    random = np.random.default_rng(len(case))
    given = (image[0], weight[0], *image[2:]) if transposed else image
    filters = weight[1] * groups if transposed else weight[0]
    return [random.normal(size=shape).astype(np.float32) for shape in (given, weight, (filters,))]


def _results(case: str, transposed: bool, dtype) -> list[np.ndarray]:
    """Output, and the gradients of the sum of its squares, compiled."""
    _, _, stride, padding, dilation, groups = CASES[case]
    tensors = [ms.Tensor(array).astype(dtype) for array in _arrays(case, transposed)]

    def output(x, weight, bias):
        if transposed:
            return F.conv_transpose2d(x, weight, bias, stride, padding, 0, groups, dilation)
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    def loss(x, weight, bias):
        y = output(x, weight, bias)
        return (y * y).sum()

    gradients = ms.jit(ms.grad(loss, (0, 1, 2)))(*tensors)
    return [array.asnumpy() for array in (ms.jit(output)(*tensors), *gradients)]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_products_are_the_kernels_numbers(case, transposed, monkeypatch):
    found = _results(case, transposed, ms.float32)
    exact = _results(case, transposed, ms.float64)
    monkeypatch.setattr(sliding, "_LARGEST", 0)
    kernel = _results(case, transposed, ms.float32)
    for ours, theirs, double, limit in zip(found, kernel, exact, (LAYER, *[GRADIENT] * 3), strict=True):
        assert_near(ours, double, limit)
        assert_near(theirs, double, limit)


def test_a_convolution_over_characters_takes_a_fraction_of_the_kernels_time():
    """That of MindSpore 2.10 is oneDNN's reference; ours took a twentieth of its time."""
    random = np.random.default_rng(0)
    x, weight = (ms.Tensor(random.normal(size=size).astype(np.float32)) for size in ((512, 30, 32), (30, 30, 3)))
    own = ops.Conv2D(30, (1, 3), pad_mode="pad", pad=(0, 0, 1, 1))

    def ours(x, weight):
        return F.conv1d(x, weight, padding=1)

    def theirs(x, weight):
        return ops.squeeze(own(ops.expand_dims(x, 2), ops.expand_dims(weight, 2)), 2)

    spent = []
    for function in map(ms.jit, (ours, theirs)):
        function(x, weight).asnumpy()
        seconds = []
        for _ in range(3):
            begun = time.process_time()
            function(x, weight).asnumpy()
            seconds.append(time.process_time() - begun)
        spent.append(min(seconds))
    assert spent[0] < 0.5 * spent[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: F.conv1d(x, F.ones(4, 2, 3)), "needs 2 channels"),
        (lambda x: F.conv1d(x, F.ones(4, 3, 3), F.ones(1)), "the bias must have"),
        (lambda x: F.conv1d(x, F.ones(4, 3, 9)), "at most as large"),
        (lambda x: F.conv1d(x, F.ones(4, 3, 3), None, 0), "at least 1"),
        (lambda x: F.conv1d(x, F.ones(4, 3, 0)), "at least one entry"),
        (lambda x: F.conv_transpose1d(x, F.ones(3, 0, 3)), "at least one entry"),
        (lambda x: F.conv_transpose1d(x, F.ones(4, 2, 3)), "needs 4 channels"),
        (lambda x: F.conv_transpose1d(x, F.ones(3, 2, 3), None, 2, 0, 2), "output padding"),
        (lambda x: F.conv_transpose1d(x, F.ones(3, 2, 3), None, 1, 4), "output"),
    ],
)
def test_what_torch_refuses_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(F.ones(2, 3, 5))
