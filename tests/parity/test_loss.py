"""The language model's loss in pieces: value and gradients against float64, whatever the pieces and the labels, without
ever holding all logits."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from common.backend import IGNORE
from tests.support import assert_near
from tests.tolerances import LAYER, OPERATOR_EXP

TOKENS, HIDDEN, VOCABULARY = 13, 16, 37
LABELS = {
    "every position": np.arange(TOKENS) % VOCABULARY,
    "some positions": np.where(np.arange(TOKENS) % 3 == 1, IGNORE, 5),
    "one position": np.where(np.arange(TOKENS) == 7, 36, IGNORE),
    "none": np.full(TOKENS, IGNORE),
}


def given(scale=1.0):
    random = np.random.default_rng(0)
    return (scale * random.normal(size=(TOKENS, HIDDEN))).astype(np.float32), random.normal(
        size=(VOCABULARY, HIDDEN)
    ).astype(np.float32)


def expected(hidden, weight, labels):
    """Sum of the losses, and the gradients by hidden and weight, in float64."""
    hidden, weight = hidden.astype(np.float64), weight.astype(np.float64)
    logits = hidden @ weight.T
    logits -= logits.max(1, keepdims=True)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scored = labels >= 0
    loss = -np.log(shares[scored, labels[scored]]).sum()
    shares[scored, labels[scored]] -= 1.0
    shares *= scored[:, None]
    return loss, shares @ weight, shares.T @ hidden


def torch_loss(hidden, weight, labels, differentiable=True):
    import torch

    from pytorch_impl.layers.loss import token_loss_sum

    x, w = torch.from_numpy(hidden).requires_grad_(), torch.from_numpy(weight).requires_grad_()
    loss = token_loss_sum(x, w, torch.from_numpy(labels), differentiable)
    if differentiable:
        (3.0 * loss).backward()
    return loss.item(), *((x.grad.numpy() / 3, w.grad.numpy() / 3) if differentiable else ())


def mindspore_loss(hidden, weight, labels, differentiable=True):
    import mindspore as ms

    from mindspore_impl.layers.loss import token_loss_sum

    w, y = ms.Parameter(ms.Tensor(weight), name="w"), ms.Tensor(labels.astype(np.int32))

    def scaled(x):
        loss = token_loss_sum(x, w, y, differentiable)
        return 3.0 * loss, loss

    (_, loss), gradient = ms.jit(ms.value_and_grad(scaled, 0, has_aux=True))(ms.Tensor(hidden))
    return float(loss.asnumpy()), gradient.asnumpy() / 3


BACKENDS = {
    "pytorch": pytest.param("pytorch", torch_loss, marks=pytest.mark.needs_pytorch),
    "mindspore": pytest.param("mindspore", mindspore_loss, marks=pytest.mark.needs_mindspore),
}


@pytest.mark.parametrize("piece", [1, 5 * VOCABULARY, 2**24], ids=["position by position", "uneven pieces", "at once"])
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize(("backend", "compute"), BACKENDS.values(), ids=BACKENDS.keys())
def test_value_and_gradients_are_those_of_float64(backend, compute, labels, piece, monkeypatch):
    monkeypatch.setattr(importlib.import_module(f"{backend}_impl.layers.loss"), "PIECE", piece)
    hidden, weight = given()
    found, wanted = compute(hidden, weight, LABELS[labels]), expected(hidden, weight, LABELS[labels])
    if labels == "none":
        assert all(not np.any(value) for value in found)
        return
    for actual, exact in zip(found, wanted, strict=False):  # MindSpore's by the states alone: the head is frozen there
        assert_near(np.asarray(actual), np.asarray(exact), LAYER if backend == "pytorch" else OPERATOR_EXP)
    assert_near(
        np.asarray(compute(hidden, weight, LABELS[labels], False)[0]),
        np.asarray(wanted[0]),
        LAYER if backend == "pytorch" else OPERATOR_EXP,
    )


@pytest.mark.parametrize(("backend", "compute"), BACKENDS.values(), ids=BACKENDS.keys())
def test_large_logits_neither_overflow_nor_lose_the_gradient(backend, compute):
    hidden, weight = given(scale=40.0)
    found, wanted = (
        compute(hidden, weight, LABELS["every position"]),
        expected(hidden, weight, LABELS["every position"]),
    )
    for actual, exact in zip(found[:2], wanted, strict=False):
        assert_near(
            np.asarray(actual), np.asarray(exact), OPERATOR_EXP
        )  # logits of several hundred are rounded by 1e-5 before anything else happens


@pytest.mark.needs_pytorch
def test_a_frozen_head_costs_no_gradient_and_logits_exist_in_pieces_only(monkeypatch):
    import torch

    from pytorch_impl.layers import loss as module

    monkeypatch.setattr(module, "PIECE", 4 * VOCABULARY)
    hidden, weight = given()
    sizes = []
    product = module.product
    monkeypatch.setattr(module, "product", lambda *pair: sizes.append(product(*pair).shape) or product(*pair))
    x = torch.from_numpy(hidden).requires_grad_()
    module.token_loss_sum(x, torch.from_numpy(weight), torch.from_numpy(LABELS["every position"])).backward()
    assert max(rows for rows, _ in sizes) == 4
    assert {columns for _, columns in sizes} == {VOCABULARY, HIDDEN}
    assert len(sizes) == 2 * -(-TOKENS // 4)


@pytest.mark.needs_pytorch
def test_however_many_positions_are_scored_few_different_numbers_of_rows_are_multiplied(monkeypatch):
    """For each of them oneDNN keeps memory, so that evaluating sentences of all lengths had taken several times what it
    needs."""
    import torch

    from pytorch_impl.layers import loss

    seen = []
    monkeypatch.setattr(loss, "product", lambda x, weight: (seen.append(len(x)), torch.mm(x, weight.T))[1])
    hidden, weight = torch.randn(2000, 4), torch.randn(6, 4)
    for count in range(1, 2001, 3):
        labels = torch.full((2000,), -100)
        labels[:count] = torch.arange(count) % 6
        found = loss.token_loss_sum(hidden, weight, labels, differentiable=False)
        torch.testing.assert_close(found, torch.nn.functional.cross_entropy(hidden @ weight.T, labels, reduction="sum"))
        assert count <= seen[-1] <= max(count + 15, count * 17 / 16)
    assert len(set(seen)) <= 64
