"""Distillation: what a student's loss takes from the outputs of a teacher, which travel in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from common.backend.batch import Field

__all__ = [
    "LINEAR",
    "LOG_LINEAR",
    "PROJECTION",
    "TEACHER_ATTENTION",
    "TEACHER_HIDDEN",
    "TEACHER_LOGITS",
    "Distillation",
]

TEACHER_LOGITS = Field("teacher_logits", ("batch", "label"), "float32", default=0)
TEACHER_HIDDEN = Field("teacher_hidden", ("batch", "seq", "state", "width"), "float32", default=0)
TEACHER_ATTENTION = Field("teacher_attention", ("batch", "seq", "state", "heads", "key"), "float32", default=0)
PROJECTION = "distillation.projection.weight"  #: trained beside a student whose width is not its teacher's
#: further terms of logits, which meta pseudo labels use and no configuration names: the sum over classes of softmax(s)
#: * t, and of log softmax(s) * t, of rows with and without a label
LINEAR: Any = "linear"
LOG_LINEAR: Any = "log-linear"


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

    where h is P h if the widths differ, with a matrix P that is learned as well; and ``attention_weight`` times the
    mean over layers, heads and real tokens of the same of the probabilities a token attends to real tokens with.
    """

    teacher: str | None = None  #: a run directory or a model folder with a trained head; null: there is none
    logits: Literal["none", "mse", "soft", "kl"] = "soft"  #: how the logits are compared
    temperature: float = 2.0  #: by which the logits are divided, in soft and kl
    hidden: Literal["none", "mse", "cos"] = "none"  #: how the hidden states are compared
    hidden_states: Literal["last", "all"] = "last"  #: the embeddings and the last layer, or those of every layer too
    attention: Literal["none", "mse", "cos"] = "none"  #: how the probabilities of attention are compared
    attention_layers: Literal["last", "all"] = "last"  #: those of the last layer, or of every one
    task_weight: float = 1.0  #: factor of the task's own loss
    logits_weight: float = 1.0  #: factor of the term of the logits
    hidden_weight: float = 1.0  #: factor of the term of the hidden states
    attention_weight: float = 1.0  #: factor of the term of the probabilities

    def problems(self) -> Iterator[tuple[str, str]]:
        """A teacher of which nothing is taken, or settings without a teacher."""
        if self.teacher is None:
            if self != Distillation():
                yield "teacher", "must name a run directory or a model where other entries of distillation are given"
            return
        kinds = {"logits": self.logits, "hidden": self.hidden, "attention": self.attention}
        used = [name for name, kind in kinds.items() if kind != "none"]
        weights = [getattr(self, f"{name}_weight") for name in used]
        if not used:
            yield (
                "logits",
                "hidden and attention are none, so that nothing is taken from the teacher; choose one, or leave out "
                "teacher",
            )
        elif not any((self.task_weight, *weights)):
            yield "task_weight", "and the weights of the other terms that are in use are 0, so that nothing is learned"
        elif not any(weights):
            listed = " and ".join(f"{name}_weight" for name in used)
            yield (
                f"{used[0]}_weight",
                f"must not be 0 for all terms in use ({listed}), so that nothing is taken from the teacher",
            )

    @property
    def states(self) -> bool:
        """Whether something is compared token by token, for which both must read the same tokens."""
        return self.hidden != "none" or self.attention != "none"

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a batch holds besides."""
        wanted = (
            (self.logits, TEACHER_LOGITS),
            (self.hidden, TEACHER_HIDDEN),
            (self.attention, TEACHER_ATTENTION),
        )
        return tuple(field for kind, field in wanted if kind != "none") if self.teacher is not None else ()
