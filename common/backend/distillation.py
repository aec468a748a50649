"""Distillation: what a student's loss takes from the outputs of a teacher, which travel in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from common.backend.batch import Field

__all__ = ["TEACHER_HIDDEN", "TEACHER_LOGITS", "Distillation"]

TEACHER_LOGITS = Field("teacher_logits", ("batch", "label"), "float32", default=0)
TEACHER_HIDDEN = Field("teacher_hidden", ("batch", "seq", "state", "width"), "float32", default=0)


@dataclass(frozen=True)
class Distillation:
    """The section ``distillation``. For every example with logits s, teacher's logits t and temperature T, the loss is
    ``task_weight`` times the task's own, ``logits_weight`` times one of

        mse     sum over classes of (s - t)^2
        soft    T^2 times the cross-entropy of softmax(s / T) under softmax(t / T)
        kl      T^2 times the divergence of the same, KL(teacher || student)

    and ``hidden_weight`` times the mean over states and real tokens of one of

        mse     mean over the width of (h - g)^2
        cos     1 - cos(h, g)
    """

    teacher: str | None = None  #: a run directory or a model folder with a trained head; null: there is none
    logits: Literal["none", "mse", "soft", "kl"] = "soft"  #: how the logits are compared
    temperature: float = 2.0  #: by which the logits are divided, in soft and kl
    hidden: Literal["none", "mse", "cos"] = "none"  #: how the hidden states are compared
    hidden_states: Literal["last", "all"] = "last"  #: the embeddings and the last layer, or those of every layer too
    task_weight: float = 1.0  #: factor of the task's own loss
    logits_weight: float = 1.0  #: factor of the term of the logits
    hidden_weight: float = 1.0  #: factor of the term of the hidden states

    def problems(self) -> Iterator[tuple[str, str]]:
        """A teacher of which nothing is taken, or settings without a teacher."""
        if self.teacher is None:
            if self != Distillation():
                yield "teacher", "must name a run directory or a model where other entries of distillation are given"
            return
        weights = (
            self.task_weight,
            self.logits_weight * (self.logits != "none"),
            self.hidden_weight * (self.hidden != "none"),
        )
        if not any(weights):
            yield "task_weight", "and the weights of the other terms that are in use are 0, so that nothing is learned"
        elif not any(weights[1:]) and not self.logits == self.hidden == "none":
            yield (
                "logits_weight",
                "and hidden_weight of the terms in use are 0, so that nothing is taken from the teacher",
            )
        if self.logits == self.hidden == "none":
            yield (
                "logits",
                "and hidden are none, so that nothing is taken from the teacher; choose one, or leave out teacher",
            )

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds besides."""
        wanted = ((self.logits, TEACHER_LOGITS), (self.hidden, TEACHER_HIDDEN))
        return tuple(field for kind, field in wanted if kind != "none") if self.teacher is not None else ()
