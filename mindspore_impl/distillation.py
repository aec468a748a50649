"""Mirrors pytorch_impl.distillation."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from common.backend import IGNORE, EngineSettings
from common.backend.distillation import LINEAR, LOG_LINEAR, PROJECTION, Distillation
from common.edits import initial_values
from mindspore_impl import functional as F
from mindspore_impl.layers.attention import split_heads
from mindspore_impl.layers.modules import padding_mask
from mindspore_impl.rewrite import find

__all__ = ["beside", "distilled"]

_EPS = 1e-12  #: of squared norms
_right = ops.BatchMatMul(transpose_b=True)


def beside(settings: EngineSettings, device: str) -> dict[str, Parameter]:
    """What is trained beside a model, by name, with its start values."""
    found = initial_values(settings.beside, settings.seed)
    return {name: Parameter(Tensor(np.array(array)), name=name) for name, array in found.items()}


def distilled(
    model: nn.Cell, loss: Callable, of_logits: Callable, wanted: Distillation, added: dict[str, Parameter]
) -> Callable:
    """``loss`` of a task with the terms of `common.backend.distillation.Distillation` where it is differentiated; the
    task's own loss where it is not.

    Args:
        of_logits: the task's loss from logits and inputs.
        added: what `beside` gave.
    """
    logits_kind, hidden_kind, temperature = wanted.logits, wanted.hidden, wanted.temperature  # constants of the graph
    attention_kind, wants_states = wanted.attention, wanted.states
    task_weight, logits_weight, hidden_weight = wanted.task_weight, wanted.logits_weight, wanted.hidden_weight
    attention_weight = wanted.attention_weight
    every = wanted.hidden_states == "all"
    projection = added.get(PROJECTION)
    attended = _attended(model, wanted)

    def total(network, inputs, differentiable=True):
        if not differentiable:
            return loss(network, inputs, False)
        states = []
        if wants_states:
            states = network.hidden_states(inputs)
            logits = network.logits_of(states[-1], inputs)
        else:
            logits = network.logits(inputs)
        found = task_weight * of_logits(logits, inputs)
        real = (inputs["labels"] != IGNORE).astype(ms.float32)
        if logits_kind in (LINEAR, LOG_LINEAR):
            scores = F.log_softmax(logits, -1)
            scores = ops.exp(scores) if logits_kind == LINEAR else scores
            found = found + logits_weight * (scores * inputs["teacher_logits"]).sum()
        elif logits_kind != "none":
            each = _logits_term(logits, inputs["teacher_logits"], logits_kind, temperature)
            found = found + logits_weight * (each * real).sum()
        if hidden_kind != "none":
            kept = states if every else [states[0], states[-1]]
            each = _hidden_term(kept, inputs["teacher_hidden"], inputs["attention_mask"], hidden_kind, projection)
            found = found + hidden_weight * (each * real).sum()
        if attention_kind != "none":
            each = _attention_term(
                attended(states, inputs["attention_mask"]),
                inputs["teacher_attention"],
                inputs["attention_mask"],
                attention_kind,
            )
            found = found + attention_weight * (each * real).sum()
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


def _hidden_term(states, teacher, mask, kind, projection):
    """``(batch,)`` of states ``(batch, virtual tokens + seq, width)`` and the teacher's ``(batch, seq, states, width)``."""
    mask = mask.astype(ms.float32)
    found = 0.0
    for index in range(len(states)):
        theirs = teacher[:, :, index]
        ours = states[index][:, -theirs.shape[1] :]  # virtual tokens, which come first, have no teacher
        if projection is not None:
            ours = F.linear(ours, projection)
        each = ((ours - theirs) ** 2).mean(-1) if kind == "mse" else 1.0 - _cosine(ours, theirs)
        found = found + (each * mask).sum(-1) / mask.sum(-1)
    return found / len(states)


def _cosine(ours, theirs):
    sizes = ops.sqrt(((ours**2).sum(-1) + _EPS) * ((theirs**2).sum(-1) + _EPS))
    return (ours * theirs).sum(-1) / sizes


def _attention_term(probabilities, teacher, mask, kind):
    """``(batch,)`` of probabilities ``(batch, heads, seq, seq)``, one of each layer, and the teacher's ``(batch, seq,
    layers, heads, keys)``, of which ``seq`` keys are those of the batch."""
    mask = mask.astype(ms.float32)
    count = mask.sum(-1)
    found = 0.0
    for index in range(len(probabilities)):
        ours = probabilities[index]
        length = ours.shape[3]
        theirs = ops.transpose(teacher[:, :, index, :, :length], (0, 2, 1, 3))  # (batch, heads, seq, seq)
        each = (
            ((ours - theirs) ** 2).sum(-1) / F.reshape(count, (-1, 1, 1))
            if kind == "mse"
            else 1.0 - _cosine(ours, theirs)
        )
        found = found + (each.mean(1) * mask).sum(-1) / count
    return found / len(probabilities)


def _attended(model: nn.Cell, wanted: Distillation) -> Callable:
    """The probabilities of the layers that are compared, of the hidden states before them: computed again from queries
    and keys, since attention gives out what it mixes and nothing else."""
    listed = model.attention_heads if wanted.attention != "none" else ()
    layers = tuple(range(len(listed))[-1:] if wanted.attention_layers == "last" else range(len(listed)))
    counts = tuple(one.count for one in listed)
    queries, keys = ([find(model, one.projections[which]) for one in listed] for which in (0, 1))

    def probabilities(states, mask):
        found = []
        for layer in layers:
            batch, length, width = states[layer].shape
            x, heads = F.reshape(states[layer], (batch * length, width)), counts[layer]
            query, key = split_heads(queries[layer](x), batch, heads), split_heads(keys[layer](x), batch, heads)
            added = ops.tile(padding_mask(mask, heads), (1, 1, length, 1))
            found.append(ops.softmax(_right(query * query.shape[3] ** -0.5, key) + added, -1))
        return found

    return probabilities
