"""Writing into tensors and their views, with gradients: the same program in torch and on the surface."""

from __future__ import annotations

import numpy as np
import pytest
import torch as theirs

from mindspore_impl import torch_api as ours


def values(torch) -> list:
    kept = []
    x = torch.arange(12.0).reshape(3, 4)
    row, turned = x[1], x.t()
    row.add_(10)
    turned[0] = 5
    x[:, 2].mul_(2)
    kept += [x, row, turned]
    copied = x.t().reshape(-1)
    copied.add_(1)
    flat = x.reshape(-1)
    flat.add_(1)
    kept += [copied, flat]
    pairs = x.view(2, 6)
    pairs[0, 0] = 77
    pairs[1] += 3
    left, right = x.split([1, 3], 1)
    right.zero_()
    kept += [pairs, left, right]
    x.detach().add_(1)
    x.data.add_(1)
    clone = x.clone()
    clone.mul_(0)
    kept.append(clone)
    part = x[:, :2].flatten()
    part[0] = -55
    kept.append(part)
    again = x.unsqueeze(0).squeeze()
    again[0, 0] = 1.5
    middle = x.narrow(0, 1, 2)
    x.add_(100)
    x.unbind(1)[3].sub_(1)
    kept += [x, again, middle]
    return kept


def indices(torch) -> list:
    z = torch.zeros(2, 3, 4)
    z.diagonal(dim1=1, dim2=2).fill_(1)
    z[0, 1:, ::2] = torch.ones(2, 2) * 5
    z[..., -1] = 2
    z[:, None, 0] = 9
    w = torch.arange(24.0).view(2, 3, 4)
    w[w > 10] = -1
    w[torch.tensor([0, 1]), torch.tensor([1, 2])] = torch.arange(8.0).view(2, 4)
    w[:, [0, 2]] *= 2
    w.masked_fill_(w < 0, 3)
    w.clamp_(min=1, max=15)
    w.transpose(0, 1)[0].copy_(torch.ones(2, 4))
    i = torch.arange(5)
    i[1:3] += 2
    i *= 3
    i //= 2
    b = torch.tensor([True, False])
    b |= torch.tensor([False, True])
    return [z, w, i, b]


def gradients(torch) -> list:
    p = torch.arange(4.0)
    p.requires_grad_()
    h = p * 2
    k = h[1:3]
    k.mul_(p[:2])
    h[0] = p[3] ** 2
    h.add_(p)
    ((h * h).sum() + (k**3).sum()).backward()
    kept = [h, k, p.grad.clone()]
    p.grad.zero_()
    p.grad.add_(1)
    kept.append(p.grad)
    p.grad = None
    rows = torch.zeros(3, 2)
    for t in range(3):
        rows[t] = p[:2] * t
    (rows**2).sum().backward()
    kept += [rows, p.grad]
    with torch.no_grad():
        p -= 0.1 * p.grad
        p[0] = 3.0
        p.view(2, 2)[1].zero_()
    return [*kept, p]


@pytest.mark.parametrize("program", [values, indices, gradients])
def test_writes_reach_every_view(program):
    for one, two in zip(program(theirs), program(ours), strict=True):
        expected, found = one.detach().numpy(), two.detach().numpy()
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)


INDICES = {
    "number": lambda t: 1,
    "negative": lambda t: -1,
    "slice": lambda t: slice(1, None),
    "step": lambda t: (slice(None), slice(None, None, 2)),
    "ellipsis": lambda t: (..., 0),
    "none": lambda t: (None, 1, slice(None), None),
    "list": lambda t: [0, 2],
    "tensor": lambda t: t.tensor([2, 0, 0]),
    "two tensors": lambda t: (t.tensor([0, 1]), slice(None), t.tensor([3, 1])),
    "broadcast": lambda t: (t.tensor([[0], [2]]), t.tensor([1, 0])),
    "mask": lambda t: t.tensor([True, False, True]),
    "mask of two axes": lambda t: t.arange(6).view(3, 2) % 2 == 0,
    "mask in the middle": lambda t: (slice(None), t.tensor([False, True])),
    "tensor and number": lambda t: (t.tensor([0, 2]), 1),
    "slice beyond": lambda t: slice(1, 99),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_are_read_and_differentiated_as_in_torch(name):
    found = []
    for torch in (theirs, ours):
        x = torch.arange(24.0).view(3, 2, 4).clone()
        x.requires_grad_()
        y = x[INDICES[name](torch)]
        (y * y).sum().backward()
        found.append((y.detach().numpy(), x.grad.numpy()))
    for expected, got in zip(*found, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_array_equal(got, expected)


def test_an_empty_part_has_its_shape_and_a_gradient():
    x = ours.ones(3, 2, requires_grad=True)
    part = x[2:2]
    assert tuple(part.shape) == (0, 2)
    assert part.requires_grad


REFUSED = (
    "p = torch.ones(2, requires_grad=True); p.add_(1)",
    "torch.zeros(3, 1).expand(3, 2).add_(1)",
    "torch.arange(3).add_(0.5)",
    "torch.zeros(2)[5]",
    "torch.zeros(2, 2)[0, 0, 0]",
    "x = torch.zeros(2); x[5] = 1",
    "torch.zeros(2)[::-1]",
    "torch.ones(2, requires_grad=True).numpy()",
    "bool(torch.ones(2))",
    "torch.ones(2).item()",
    "(torch.ones(2, requires_grad=True) * 2).backward()",
    "torch.ones(2).sum().backward()",
    "len(torch.tensor(1.0))",
    "torch.ones(2, requires_grad=True).sum().requires_grad_(False)",
    "torch.nothing_of_this_name",
    "torch.ones(2).nothing_of_this_name",
)


@pytest.mark.parametrize("line", REFUSED)
def test_what_torch_refuses_is_refused_with_the_same_kind_of_error(line):
    with pytest.raises(Exception) as theirs_error:  # noqa: PT011  (whichever it is, the other must be the same)
        exec(line, {"torch": theirs})
    with pytest.raises(theirs_error.type):
        exec(line, {"torch": ours})


def test_a_detached_loss_does_not_keep_its_graph():
    import gc
    import weakref

    x = ours.ones(3, requires_grad=True)
    loss = (x * x).sum()
    alive, kept = weakref.ref(loss), loss.detach()
    del loss
    gc.collect()
    assert alive() is None
    assert kept.item() == 3.0
