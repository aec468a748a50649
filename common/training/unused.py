"""Entries of an experiment that are set to another value than the default and have no effect, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from common.backend.distillation import Distillation
from common.config.schema import DataConfig, OptimizationConfig
from common.data.roles import LABELS
from common.methods.plan import HEAD
from common.training.assembly import Inputs

__all__ = ["unused"]

_FALLING = ("linear", "cosine", "polynomial")  #: schedules that end at ``final_learning_rate``
_SOFTENED = ("soft", "kl")  #: comparisons of logits that divide by ``temperature``


def unused(inputs: Inputs) -> list[str]:
    """A sentence for each."""
    config = inputs.config
    found = [*_of_schedule(config.optimization), *_of_distillation(config.distillation), *_of_data(inputs, config.data)]
    rate = config.optimization.head_learning_rate
    headless = all(parameter.component != HEAD for parameter in inputs.plan.parameters)
    if rate not in (None, config.optimization.learning_rate) and headless:
        found.append(("optimization.head_learning_rate", "no head of the task is trained"))
    return [f"{entry} has no effect, since {reason}. Remove it." for entry, reason in found]


def _of_schedule(wanted: OptimizationConfig) -> Iterator[tuple[str, str]]:
    schedule = f"optimization.schedule is {wanted.schedule}"
    if wanted.final_learning_rate and wanted.schedule not in _FALLING:
        yield "optimization.final_learning_rate", schedule
    if wanted.power != 1.0 and wanted.schedule != "polynomial":
        yield "optimization.power", schedule


def _of_distillation(wanted: Distillation) -> Iterator[tuple[str, str]]:
    usual = Distillation()
    read = {
        "temperature": ("logits", wanted.logits in _SOFTENED),
        "logits_weight": ("logits", wanted.logits != "none"),
        "hidden_states": ("hidden", wanted.hidden != "none"),
        "hidden_weight": ("hidden", wanted.hidden != "none"),
        "attention_layers": ("attention", wanted.attention != "none"),
        "attention_weight": ("attention", wanted.attention != "none"),
    }
    for entry, (term, used) in read.items():
        if not used and getattr(wanted, entry) != getattr(usual, entry):
            yield f"distillation.{entry}", f"distillation.{term} is {getattr(wanted, term)}"


def _of_data(inputs: Inputs, wanted: DataConfig) -> Iterator[tuple[str, str]]:
    if wanted.label_separator is not None and LABELS.name not in {role.name for role in inputs.task.roles}:
        yield "data.label_separator", f"an example of task {inputs.task.name} has one label at most"
    for split in sorted(wanted.max_examples.keys() - inputs.data.splits.keys()):
        yield f"data.max_examples.{split}", f"there is no {split} split"
