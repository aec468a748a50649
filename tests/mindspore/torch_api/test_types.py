"""Types of tensors, what dtype values get, and how both are written: each expression gives what torch gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindspore_impl import torch_api

torch = pytest.importorskip("torch")

SAME = """
t.type(), d.type(), i.type(), b.type(), t.half().type(), t.bfloat16().type(), i.int().type(), i.byte().type()
t.type('torch.DoubleTensor'), t.type('torch.LongTensor'), t.type('torch.FloatTensor').dtype
t.type(torch.LongTensor), t.type(torch.DoubleTensor), t.type(dtype=torch.int32), t.type(torch.float64)
t.type_as(i), i.type_as(d)
isinstance(t, torch.FloatTensor), isinstance(i, torch.FloatTensor), isinstance(i, torch.LongTensor)
isinstance(t, torch.Tensor), isinstance(3, torch.FloatTensor)
torch.LongTensor([1, 2]), torch.LongTensor([[1], [2]]), torch.LongTensor(range(3)), torch.LongTensor((1, 2))
torch.LongTensor(2, 3).shape, torch.LongTensor(2, 3).dtype, torch.FloatTensor(torch.Size([2, 3])).shape
torch.IntTensor([1, 2]), torch.DoubleTensor([1, 2]), torch.BoolTensor([True, False]), torch.ByteTensor([1, 2])
torch.HalfTensor([1, 2]), torch.ShortTensor([1, 2]), torch.CharTensor([1, 2]), torch.BFloat16Tensor([1, 2])
torch.FloatTensor(np.array([1.5, 2.0])), torch.FloatTensor(t), torch.FloatTensor(), torch.FloatTensor(5).shape
torch.Tensor([1, 2]), torch.Tensor(3).shape, torch.Tensor(2, 3).shape, torch.Tensor(), torch.Tensor(i)
torch.tensor([np.float64(1)]), torch.tensor([np.float32(1), 2.0]), torch.tensor([np.int32(1)])
torch.tensor([torch.tensor(1.0).double(), 2.0]), torch.tensor([torch.tensor(1), 2]), torch.tensor([[1, 2.5]])
torch.tensor([True, 1]), torch.tensor([1, 1j]).dtype, torch.tensor([np.int16(1), True]), torch.tensor(range(3))
t.to(torch.float64), t.to(d), t.to('cpu', torch.float64), t.to(dtype=torch.int64), t.to(float), t.to(int), t.to('cpu')
t.to(torch.float64, True, copy=True), t.to(d, non_blocking=True), t.to(device='cpu', dtype=torch.half)
t.shape + (3,), t.shape[:1], t.shape.numel(), t.new([1, 2]), i.new([1, 2]), t.new(2, 3).shape, i.new().dtype
i.is_signed(), i.byte().is_signed(), t.is_signed(), torch.float32.to_complex(), torch.complex64.to_real()
torch.typename(t), torch.typename(d), torch.typename([1]), torch.typename(np.zeros), torch.typename(3)
f"{torch.tensor(1.5):.2f}", f"{torch.tensor(3)}", f"{torch.tensor(True)}", format(torch.tensor([1.0]), '')
str(torch.tensor(1.5)), str(torch.nn.Parameter(torch.ones(2))), repr(torch.tensor([1.5, 2.0]))
torch.tensor([1e10, 1.0]), torch.tensor([1e-8, 1.0]), torch.tensor([1.0, float('nan'), float('inf')]), d / 3, t / 3
torch.tensor([[1, 20], [-3, 4]]), torch.tensor(3), torch.zeros(2, 0), torch.zeros(0), torch.tensor([], dtype=torch.int64)
b, torch.tensor([True, True]), torch.tensor([100000.0, 2.0]), torch.tensor([0.0, 0.0]), torch.tensor([float('nan')])
torch.arange(24.0).reshape(2, 3, 4) / 7, torch.arange(2000), torch.arange(4000.0).reshape(40, 100) / 9, torch.arange(30) * 1000, torch.linspace(-1, 1, 30)
torch.tensor([1.5]).half(), torch.tensor([0.1]).bfloat16(), torch.tensor(-0.0), torch.tensor([-1.0, 0.5])
t.dtype == torch.float32, t.dtype != torch.float64, t.dtype == 'float32', {torch.float32: 1}[t.dtype], str(t.dtype)
torch.get_default_dtype(), torch.is_tensor(t), torch.is_tensor(np.zeros(2)), torch.is_floating_point(i)
"""
#: the kind of error, and words of its text
REFUSED = [
    ("t.type('torch.Foo')", ValueError, "invalid type: 'torch.Foo'"),
    ("t.type('DoubleTensor')", ValueError, "invalid type: 'DoubleTensor'"),
    ("t.type('torch.float64')", ValueError, "invalid type"),
    ("t.type(float)", ValueError, "invalid type: 'float'"),
    ("t.type(3)", TypeError, "dtype must be a type, str, or dtype object"),
    ("t.type_as(3)", TypeError, "must be Tensor, not int"),
    ("t.type('torch.cuda.FloatTensor')", RuntimeError, ""),
    ("t.to(3)", RuntimeError, ""),
    ("t.to(other=d)", TypeError, "to()"),
    ("t.to([1])", TypeError, "to()"),
    ("t.to('float64')", RuntimeError, ""),
    ("torch.LongTensor(t)", TypeError, "expected"),
    ("torch.Tensor(5.5)", TypeError, "data must be a sequence (got float)"),
    ("torch.Tensor(True)", TypeError, "data must be a sequence (got bool)"),
    ("torch.LongTensor(False)", TypeError, "data must be a sequence (got bool)"),
    ("i.new(True)", TypeError, "data must be a sequence (got bool)"),
    ("torch.set_default_dtype('float64')", TypeError, "only floating-point types are supported"),
]


def evaluated(library: Any, text: str) -> Any:
    names = {"t": library.tensor([1.0, 2.0]), "i": library.tensor([1, 2]), "b": library.tensor([True, False])}
    return eval(text, {"torch": library, "np": np, "d": names["t"].double(), **names})


@pytest.mark.parametrize("text", SAME.strip().split("\n"))
def test_types_and_texts_are_torchs(text):
    expected, found = (repr(evaluated(library, f"[{text}]")) for library in (torch, torch_api))
    assert found == expected


@pytest.mark.parametrize(("text", "kind", "words"), REFUSED)
def test_what_torch_refuses_is_refused_as_there(text, kind, words):
    for library in (torch, torch_api):
        with pytest.raises(kind) as caught:
            evaluated(library, text)
        assert words in str(caught.value)


UNRECORDED = """
y > 0, y == y, (y > 0).float(), (y > 0) & (y < 1), y.isnan(), y.any(), y.bool(), y.long(), y.int().float(), y.nonzero()
y.argmax(-1), y.max(-1)[1], y.topk(2)[1], y.sort()[1], y.argsort(), y.median(-1)[1], torch.where(y > 0)[0]
(y.argmax(-1) == y.argmin(-1)).float().mean(), y.count_nonzero(), torch.bucketize(y, torch.tensor([0.0]))
torch.zeros_like(y), torch.ones_like(y), torch.full_like(y, 1.0), torch.empty_like(y), y.new_zeros(2), torch.rand_like(y)
"""


@pytest.mark.parametrize("text", UNRECORDED.strip().split("\n"))
def test_what_has_no_gradient_is_not_recorded(text):
    """So that ``logits.argmax(-1).numpy()`` needs no ``detach()``, as in torch."""
    for library in (torch, torch_api):
        y = library.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, 0.0]]).requires_grad_() * 2
        for found in eval(f"[{text}]", {"torch": library, "y": y}):
            assert not found.requires_grad
            assert found.is_leaf
            found.numpy()


def test_random_numbers_without_axes_have_none():
    for name in ("randn", "rand"):
        made = []
        for library in (torch, torch_api):
            library.manual_seed(0)
            made.append(getattr(library, name)(()).numpy())
        assert made[1].shape == made[0].shape == ()
        np.testing.assert_allclose(made[1], made[0], rtol=1e-6)


def test_the_default_dtype_is_that_of_torch_tensor():
    for library in (torch, torch_api):
        library.set_default_dtype(library.float64)
        try:
            assert library.Tensor([1, 2]).type() == library.tensor([1.0]).type() == "torch.DoubleTensor"
            assert isinstance(library.Tensor(2), library.DoubleTensor)
            assert library.tensor([1]).type(library.Tensor).dtype == library.float64
            assert library.tensor([1]).type("torch.Tensor").dtype == library.float64
            assert library.tensor([1j]).dtype == library.complex128
        finally:
            library.set_default_dtype(library.float32)
