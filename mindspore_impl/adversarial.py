"""Mirrors pytorch_impl.adversarial; differs: embeddings of native cells ask here what their norm gets."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from common.backend import IGNORE
from common.backend.adversarial import EPSILON, LEAST, Adversarial
from mindspore_impl import functional as F
from mindspore_impl.fused import spread

__all__ = ["adversarial", "apart", "grown", "normalized"]

_norm = ops.LayerNorm(begin_norm_axis=1, begin_params_axis=1, epsilon=EPSILON)
_largest = ops.ReduceMax(keep_dims=True)


def adversarial(loss: Callable, of_logits: Callable, wanted: Adversarial, kind: str) -> Callable:
    """``loss`` of a task with the second term, where the inputs hold a ``perturbation``; the task's own where they do
    not.

    Args:
        of_logits: the task's loss from logits and inputs.
        kind: how outputs are compared, see `common.tasks.task.Task.smoothed`.
    """
    weight = wanted.weight  # a constant of the graph

    def total(network, inputs, differentiable=True):
        if not differentiable or "perturbation" not in inputs:
            return loss(network, inputs, differentiable)
        logits = network.logits(_plain(network, inputs))
        each = _distance(network.logits(inputs), logits, kind)
        return of_logits(logits, inputs) + weight * (each * _real(inputs)).sum(), logits

    return total


def apart(network: nn.Cell, inputs, perturbation: Tensor, kind: str) -> Tensor:
    """Sum of D(f(x, d), f(x)) over the rows, of which only d gets a gradient that means something."""
    logits = ops.stop_gradient(network.logits(inputs))
    perturbed_inputs = _plain(network, inputs)
    perturbed_inputs["perturbation"] = perturbation
    return _distance(network.logits(perturbed_inputs), logits, kind).sum()


def grown(start: Tensor, gradient: Tensor, wanted: Adversarial) -> Tensor:
    """d from d_0 and g, ``(batch, seq, width)`` each."""
    width = start.shape[-1]
    flat = F.reshape(gradient, (-1, width))
    largest = spread(_largest(ops.abs(flat), 1) + LEAST, width)
    return start + wanted.learning_rate * F.reshape(flat / largest, start.shape)


def normalized(x: Tensor) -> Tensor:
    """n(e) of ``(tokens, width)``, without a gradient."""
    width = x.shape[-1]
    return ops.stop_gradient(_norm(x, _constant(width, 1.0), _constant(width, 0.0))[0])


@ops.constexpr
def _constant(width: int, value: float) -> Tensor:
    return Tensor(np.full(width, value, np.float32))


def perturbation_of(batch):
    """What is added to the normalized embeddings of a batch, ``(batch, seq, width)``; None where there is nothing."""
    return batch["perturbation"] if "perturbation" in batch else None  # noqa: SIM401  graphs have no get


def perturbed(x, perturbation):
    """e ``(tokens, width)``, or n(e) + d."""
    return x if perturbation is None else normalized(x) + F.reshape(perturbation, x.shape)


def _plain(network: nn.Cell, inputs) -> dict[str, Tensor]:
    return network.with_ids(inputs, inputs["input_ids"])  # which takes the fields of a batch alone


def _real(inputs) -> Tensor:
    """1 for rows with a target, 0 for others, ``(batch,)``."""
    if "scored" in inputs:
        return inputs["scored"].astype(ms.float32)
    return (inputs["labels"] != IGNORE).astype(ms.float32)


def _distance(first: Tensor, second: Tensor, kind: str) -> Tensor:
    """D of outputs ``(batch, n)``: ``(batch,)``."""
    if kind == "squared":
        return ((first - second) ** 2).sum(-1)
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    fixed_p, fixed_q = ops.stop_gradient(p), ops.stop_gradient(q)
    return (ops.exp(fixed_q) * (fixed_q - p) + ops.exp(fixed_p) * (fixed_p - q)).sum(-1)
