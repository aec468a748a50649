"""Mirrors pytorch_impl.distillation."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
from mindspore import ops

from common.backend import IGNORE
from common.backend.distillation import Distillation
from mindspore_impl import functional as F

__all__ = ["distilled"]

_EPS = 1e-12  #: of squared norms


def distilled(loss: Callable, of_logits: Callable, wanted: Distillation) -> Callable:
    """``loss`` of a task with the terms of `common.backend.distillation.Distillation` where it is differentiated; the
    task's own loss where it is not.

    Args:
        of_logits: the task's loss from logits and inputs.
    """
    logits_kind, hidden_kind, temperature = wanted.logits, wanted.hidden, wanted.temperature  # constants of the graph
    task_weight, logits_weight, hidden_weight = wanted.task_weight, wanted.logits_weight, wanted.hidden_weight
    every = wanted.hidden_states == "all"

    def total(network, inputs, differentiable=True):
        if not differentiable:
            return loss(network, inputs, False)
        states = []
        if hidden_kind == "none":
            logits = network.logits(inputs)
        else:
            states = network.hidden_states(inputs)
            logits = network.logits_of(states[-1], inputs)
        found = task_weight * of_logits(logits, inputs)
        real = (inputs["labels"] != IGNORE).astype(ms.float32)
        if logits_kind != "none":
            each = _logits_term(logits, inputs["teacher_logits"], logits_kind, temperature)
            found = found + logits_weight * (each * real).sum()
        if hidden_kind != "none":
            kept = states if every else [states[0], states[-1]]
            each = _hidden_term(kept, inputs["teacher_hidden"], inputs["attention_mask"], hidden_kind)
            found = found + hidden_weight * (each * real).sum()
        return found, logits

    return total


def _logits_term(logits, teacher, kind, temperature):
    """``(batch,)``."""
    if kind == "mse":
        return ((logits - teacher) ** 2).sum(-1)
    log_student = F.log_softmax(logits / temperature, -1)
    log_teacher = F.log_softmax(teacher / temperature, -1)
    base = -log_student if kind == "soft" else log_teacher - log_student
    return (ops.exp(log_teacher) * base).sum(-1) * temperature**2


def _hidden_term(states, teacher, mask, kind):
    """``(batch,)`` of states ``(batch, virtual tokens + seq, width)`` and the teacher's ``(batch, seq, states, width)``."""
    mask = mask.astype(ms.float32)
    found = 0.0
    for index in range(len(states)):
        theirs = teacher[:, :, index]
        ours = states[index][:, -theirs.shape[1] :]  # virtual tokens, which come first, have no teacher
        if kind == "mse":
            each = ((ours - theirs) ** 2).mean(-1)
        else:
            sizes = ops.sqrt(((ours**2).sum(-1) + _EPS) * ((theirs**2).sum(-1) + _EPS))
            each = 1.0 - (ours * theirs).sum(-1) / sizes
        found = found + (each * mask).sum(-1) / mask.sum(-1)
    return found / len(states)
