"""The loss of a student: its task's, and its distances from the teacher's outputs in the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from common.backend import IGNORE, EngineSettings
from common.backend.distillation import LINEAR, LOG_LINEAR, PROJECTION, Distillation
from common.edits import initial_values
from pytorch_impl import functional as F

__all__ = ["beside", "distilled"]

_EPS = 1e-12  #: of squared norms


def beside(settings: EngineSettings, device: str) -> dict[str, nn.Parameter]:
    """What is trained beside a model, by name, with its start values."""
    dtype = torch.float64 if settings.dtype == "fp64" else torch.float32
    found = initial_values(settings.beside, settings.seed)
    return {name: nn.Parameter(torch.from_numpy(np.array(a)).to(device, dtype)) for name, a in found.items()}


def distilled(
    model: nn.Module, loss: Callable, of_logits: Callable, wanted: Distillation, added: dict[str, nn.Parameter]
) -> Callable:
    """``loss`` of a task with the terms of `common.backend.distillation.Distillation` where it is differentiated; the
    task's own loss where it is not.

    Args:
        of_logits: the task's loss from logits and inputs.
        added: what `beside` gave.
    """
    projection = added.get(PROJECTION)
    attended = _attended(model, wanted)

    def total(network, inputs, differentiable=True):
        if not differentiable:
            return loss(network, inputs, False)
        if wanted.states:
            states = network.hidden_states(inputs)
            logits = network.logits_of(states[-1], inputs)
        else:
            logits, states = network.logits(inputs), []
        found = wanted.task_weight * of_logits(logits, inputs)
        real = (inputs["labels"] != IGNORE).to(torch.float32)
        if wanted.logits in (LINEAR, LOG_LINEAR):
            scores = F.log_softmax(logits.to(torch.float32), -1)
            scores = torch.exp(scores) if wanted.logits == LINEAR else scores
            found = found + wanted.logits_weight * (scores * inputs["teacher_logits"]).sum()
        elif wanted.logits != "none":
            each = _logits_term(logits, inputs["teacher_logits"], wanted.logits, wanted.temperature)
            found = found + wanted.logits_weight * (each * real).sum()
        if wanted.hidden != "none":
            kept = states if wanted.hidden_states == "all" else [states[0], states[-1]]
            each = _hidden_term(kept, inputs["teacher_hidden"], inputs["attention_mask"], wanted.hidden, projection)
            found = found + wanted.hidden_weight * (each * real).sum()
        if wanted.attention != "none":
            each = _attention_term(
                attended(states, inputs["attention_mask"]),
                inputs["teacher_attention"],
                inputs["attention_mask"],
                wanted.attention,
            )
            found = found + wanted.attention_weight * (each * real).sum()
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


def _hidden_term(states, teacher, mask, kind, projection):
    """``(batch,)`` of states ``(batch, virtual tokens + seq, width)`` and the teacher's ``(batch, seq, states, width)``."""
    mask = mask.to(torch.float32)
    found = 0.0
    for index in range(len(states)):
        theirs = teacher[:, :, index]
        ours = states[index][:, -theirs.shape[1] :].to(
            torch.float32
        )  # virtual tokens, which come first, have no teacher
        if projection is not None:
            ours = F.linear(ours, projection)
        each = ((ours - theirs) ** 2).mean(-1) if kind == "mse" else 1.0 - _cosine(ours, theirs)
        found = found + (each * mask).sum(-1) / mask.sum(-1)
    return found / len(states)


def _cosine(ours, theirs):
    sizes = torch.sqrt(((ours**2).sum(-1) + _EPS) * ((theirs**2).sum(-1) + _EPS))
    return (ours * theirs).sum(-1) / sizes


def _attention_term(probabilities, teacher, mask, kind):
    """``(batch,)`` of probabilities ``(batch, heads, seq, seq)``, one of each layer, and the teacher's ``(batch, seq,
    layers, heads, keys)``, of which ``seq`` keys are those of the batch."""
    mask = mask.to(torch.float32)
    count = mask.sum(-1)
    found = 0.0
    for index in range(len(probabilities)):
        ours = probabilities[index].to(torch.float32)
        theirs = teacher[:, :, index, :, : ours.shape[3]].transpose(1, 2)  # (batch, heads, seq, seq)
        each = ((ours - theirs) ** 2).sum(-1) / count[:, None, None] if kind == "mse" else 1.0 - _cosine(ours, theirs)
        found = found + (each.mean(1) * mask).sum(-1) / count
    return found / len(probabilities)


def _attended(model: nn.Module, wanted: Distillation) -> Callable:
    """The probabilities of the layers that are compared, of the hidden states before them: computed again from queries
    and keys, since attention gives out what it mixes and nothing else."""
    listed = model.attention_heads if wanted.attention != "none" else ()
    layers = range(len(listed))[-1:] if wanted.attention_layers == "last" else range(len(listed))

    def probabilities(states, mask):
        added = (1.0 - mask.to(torch.float32))[:, None, None] * torch.finfo(torch.float32).min
        found = []
        for layer in layers:
            heads, paths = listed[layer].count, listed[layer].projections
            split = [model.get_submodule(path)(states[layer]).unflatten(-1, (heads, -1)) for path in paths[:2]]
            query, key = (x.transpose(1, 2) for x in split)
            scores = torch.matmul(query, key.transpose(2, 3)) * query.shape[-1] ** -0.5
            found.append(torch.softmax(scores.to(torch.float32) + added, -1))
        return found

    return probabilities
