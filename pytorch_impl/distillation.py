"""The loss of a student: its task's, and its distances from the teacher's outputs in the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from common.backend import IGNORE
from common.backend.distillation import Distillation
from pytorch_impl import functional as F

__all__ = ["distilled"]

_EPS = 1e-12  #: of squared norms


def distilled(loss: Callable, of_logits: Callable, wanted: Distillation) -> Callable:
    """``loss`` of a task with the terms of `common.backend.distillation.Distillation` where it is differentiated; the
    task's own loss where it is not.

    Args:
        of_logits: the task's loss from logits and inputs.
    """

    def total(network, inputs, differentiable=True):
        if not differentiable:
            return loss(network, inputs, False)
        if wanted.hidden == "none":
            logits, states = network.logits(inputs), []
        else:
            states = network.hidden_states(inputs)
            logits = network.logits_of(states[-1], inputs)
        found = wanted.task_weight * of_logits(logits, inputs)
        real = (inputs["labels"] != IGNORE).to(torch.float32)
        if wanted.logits != "none":
            each = _logits_term(logits, inputs["teacher_logits"], wanted.logits, wanted.temperature)
            found = found + wanted.logits_weight * (each * real).sum()
        if wanted.hidden != "none":
            kept = states if wanted.hidden_states == "all" else [states[0], states[-1]]
            each = _hidden_term(kept, inputs["teacher_hidden"], inputs["attention_mask"], wanted.hidden)
            found = found + wanted.hidden_weight * (each * real).sum()
        return found, logits

    return total


def _logits_term(logits, teacher, kind, temperature):
    """``(batch,)``."""
    logits = logits.to(torch.float32)
    if kind == "mse":
        return ((logits - teacher) ** 2).sum(-1)
    log_student = F.log_softmax(logits / temperature, -1)
    log_teacher = F.log_softmax(teacher / temperature, -1)
    base = -log_student if kind == "soft" else log_teacher - log_student
    return (torch.exp(log_teacher) * base).sum(-1) * temperature**2


def _hidden_term(states, teacher, mask, kind):
    """``(batch,)`` of states ``(batch, virtual tokens + seq, width)`` and the teacher's ``(batch, seq, states, width)``."""
    mask = mask.to(torch.float32)
    found = 0.0
    for index in range(len(states)):
        theirs = teacher[:, :, index]
        ours = states[index][:, -theirs.shape[1] :].to(
            torch.float32
        )  # virtual tokens, which come first, have no teacher
        if kind == "mse":
            each = ((ours - theirs) ** 2).mean(-1)
        else:
            sizes = torch.sqrt(((ours**2).sum(-1) + _EPS) * ((theirs**2).sum(-1) + _EPS))
            each = 1.0 - (ours * theirs).sum(-1) / sizes
        found = found + (each * mask).sum(-1) / mask.sum(-1)
    return found / len(states)
