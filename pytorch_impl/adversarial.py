"""The loss of scale-invariant fine-tuning; see `common.backend.adversarial`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from common.backend import IGNORE
from common.backend.adversarial import EPSILON, LEAST, Adversarial
from pytorch_impl import functional as F

__all__ = ["adversarial", "apart", "grown", "normalized"]


def adversarial(loss: Callable, of_logits: Callable, wanted: Adversarial, kind: str) -> Callable:
    """``loss`` of a task with the second term, where the inputs hold a ``perturbation``; the task's own where they do
    not.

    Args:
        of_logits: the task's loss from logits and inputs.
        kind: how outputs are compared, see `common.tasks.task.Task.smoothed`.
    """

    def total(network, inputs, differentiable=True):
        if not differentiable or "perturbation" not in inputs:
            return loss(network, inputs, differentiable)
        logits = network.logits(_plain(inputs))
        each = _distance(network.logits(inputs), logits, kind)
        return of_logits(logits, inputs) + wanted.weight * (each * _real(inputs)).sum(), logits

    return total


def apart(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], perturbation: torch.Tensor, kind: str
) -> torch.Tensor:
    """Sum of D(f(x, d), f(x)) over the rows, of which only d gets a gradient that means something."""
    with torch.no_grad():
        logits = network.logits(inputs)
    return _distance(network.logits({**inputs, "perturbation": perturbation}), logits, kind).sum()


def grown(start: torch.Tensor, gradient: torch.Tensor, wanted: Adversarial) -> torch.Tensor:
    """d from d_0 and g, ``(batch, seq, width)`` each."""
    return start + wanted.learning_rate * gradient / (LEAST + gradient.abs().amax(-1, keepdim=True))


def normalized(x: torch.Tensor) -> torch.Tensor:
    """n(e), without a gradient."""
    return nn.functional.layer_norm(x.detach(), x.shape[-1:], eps=EPSILON)


def _plain(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in inputs.items() if name != "perturbation"}


def _real(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """1 for rows with a target, 0 for others, ``(batch,)``."""
    return inputs["scored"].float() if "scored" in inputs else (inputs["labels"] != IGNORE).float()


def _distance(first: torch.Tensor, second: torch.Tensor, kind: str) -> torch.Tensor:
    """D of outputs ``(batch, n)``: ``(batch,)``."""
    first, second = first.to(torch.promote_types(first.dtype, torch.float32)), second.to(first.dtype)
    if kind == "squared":
        return ((first - second) ** 2).sum(-1)
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    fixed_p, fixed_q = p.detach(), q.detach()
    return (torch.exp(fixed_q) * (fixed_q - p) + torch.exp(fixed_p) * (fixed_p - q)).sum(-1)
