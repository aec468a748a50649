"""Opening whatever holds a model: a run directory (its best state, merged), a model folder, or a hub id."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.config.schema import ModelConfig
from common.data import load_tokenizer
from common.errors import InputError
from common.methods.merge import merged_model
from common.models import FAMILIES
from common.models.checkpoint import fingerprint, locate, read_config
from common.models.loading import complete_config, load_model_spec
from common.models.specs import ModelSpec
from common.models.structure import split_entries
from common.tasks import TASKS, Task
from common.training.assembly import open_trained
from common.training.rundir import RunDirectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Opened", "classes_of", "open_model", "task_of"]

_UNNAMED = ("LABEL_0", "LABEL_1")  #: what ``transformers`` calls the classes of a config.json that names none

_CLASSES = "single_label_classification"  #: the problem type that a config.json need not name


@dataclass(frozen=True)
class Opened:
    """A model with its tokenizer."""

    spec: ModelSpec
    tokenizer: PreTrainedTokenizerFast


def open_model(source: str | Path, task: str | None = None) -> Opened:
    """Read a model.

    Args:
        source: a run directory, of which the best state is merged; a model folder; ``python:PACKAGE/FOLDER``; or a hub
            id.
        task: which head a model folder has; by default the one that its config.json names. Weights of a head that the
            folder lacks are listed in ``spec.new_parameters``.

    Raises:
        InputError: there is no such model, its task cannot be determined, or a run has another task.
    """
    run = RunDirectory(Path(source))
    return _of_run(run, task) if run.config.is_file() else _of_folder(str(source), task)


def _of_run(run: RunDirectory, task: str | None) -> Opened:
    trained = open_trained(run)
    if task not in (None, trained.task.name):
        raise InputError(f"{run.path} was trained for {trained.task.name}; received task {task!r}. Leave the task out.")
    merged, _ = merged_model(trained.plan, trained.spec, trained.arrays)
    opened = dataclasses.replace(
        merged, source=str(run.path), fingerprint=fingerprint(merged.arrays), new_parameters=()
    )
    return Opened(opened, trained.tokenizer)


def _of_folder(source: str, name: str | None) -> Opened:
    given, recorded = split_entries(read_config(locate(source)))
    tokenizer, head = load_tokenizer(source), recorded.get("head", {})
    own = head.get("task") if name in (None, head.get("task")) else None  # the task of a head that was recorded
    task = task_of(source, given, own or name)
    labels = classes_of(given)
    config = ModelConfig(source, task.name, None, None, {}, task_options=head["options"] if own else {})
    spec = load_model_spec(
        config, None if task.example_labels() is None else labels, len(tokenizer), tokenizer.pad_token_id, seed=0
    )
    return Opened(spec, tokenizer)


def classes_of(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the classes of a ``config.json`` by their index, in whatever order it has them.

    Example:
        >>> classes_of({"id2label": {"0": "a", "10": "c", "2": "b"}})
        ('a', 'b', 'c')
    """
    found = given.get("id2label") or dict(enumerate(_UNNAMED))
    numbered = all(str(index).isdecimal() for index in found)
    return tuple(str(found[index]) for index in (sorted(found, key=int) if numbered else found))


def task_of(source: str, given: Mapping[str, Any], name: str | None = None) -> Task:
    """The task ``name``; by default the only one whose head is the architecture that ``given``, a ``config.json``,
    names.

    Raises:
        InputError: there is none, or there are several.
    """
    if name:
        return TASKS.get(name)
    family = given["model_type"]
    if family not in FAMILIES:
        raise InputError(
            f"{source} is a {family} model; models of the families {', '.join(FAMILIES.names())} are opened here."
        )
    architecture = next(iter(given.get("architectures") or ()), None)
    section = ModelConfig(source, "", None, None, {})
    found = []
    for task in TASKS:
        layout = task.layout(
            FAMILIES.get(family), complete_config(FAMILIES.get(family), task, given, section, None, None)
        )
        if layout is not None and layout.named and layout.architecture == architecture and task.assumed:
            found.append(task)
    if len(found) > 1:  # one head, several losses: ``transformers`` tells them apart by the problem type
        problem = given.get("problem_type")
        wanted = None if problem == _CLASSES else problem
        labels = classes_of(given)
        found = [task for task in found if task.entries(labels).get("problem_type") == wanted]
    if len(found) != 1:
        known = ", ".join(task.name for task in found) or ", ".join(TASKS.names())
        count = f"{len(found)} tasks use" if found else "is the head of no task"
        raise InputError(
            f"The task of {source} cannot be determined: its config.json names the architecture {architecture}, which "
            + (f"{count}. " if not found else "several tasks use. ")
            + f"Give the task, one of {known}."
        )
    return found[0]
