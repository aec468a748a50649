"""A teacher's outputs on the training split: computed once, before the first step, and carried in the batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from common.backend.batch import BatchSchema
from common.backend.distillation import TEACHER_HIDDEN, TEACHER_LOGITS, Distillation
from common.data import Encoded, Ragged, evaluation_batches
from common.errors import InputError
from common.models import FAMILIES
from common.models.family import POOLED, Backbone
from common.models.modules import DISTANCES
from common.models.specs import ModelSpec
from common.reading import expanded
from common.training import fingerprints
from common.training.assembly import Inputs, positions_of
from common.training.opening import Opened, open_model

__all__ = ["open_teacher", "taught"]

_SHARE = 0.5  #: of the free memory, what hidden states may take


def open_teacher(inputs: Inputs) -> Opened | None:
    """The teacher that the configuration names.

    Raises:
        InputError: the task has no teachers, or teacher and student do not fit.
    """
    wanted, task = inputs.config.distillation, inputs.task
    if wanted.teacher is None:
        return None
    if not task.taught:
        raise InputError(f"distillation.teacher is for tasks with classes of whole texts; the task is {task.name}.")
    folder = expanded(wanted.teacher)
    teacher = open_model(folder if Path(folder).exists() else wanted.teacher, task.name)
    problems = list(_problems(inputs, teacher, wanted))
    if problems:
        raise InputError(f"The teacher {wanted.teacher} does not fit the student: " + "; ".join(problems) + ".")
    return teacher


def _problems(inputs: Inputs, teacher: Opened, wanted: Distillation) -> list[str]:
    found = []
    if teacher.spec.new_parameters:
        found.append(f"its head is not trained ({', '.join(teacher.spec.new_parameters)})")
    classes = tuple(map(str, teacher.spec.config.get("id2label", {}).values()))
    if classes != inputs.data.label_names:
        found.append(f"its classes are {classes}, those of the data {inputs.data.label_names}")
    if fingerprints.of_tokenizer(teacher.tokenizer) != fingerprints.of_tokenizer(inputs.tokenizer):
        found.append("its tokenizer is another one")
    positions, length = positions_of(teacher.spec), inputs.config.data.max_length
    if positions is not None and length > positions:
        found.append(f"it takes {positions} tokens at most, and data.max_length is {length}")
    if inputs.spec.layout is not None and inputs.spec.layout.kind is DISTANCES:
        found.append(
            "the student's logits are distances, which a teacher's are not; set model.task_options.loss to softmax"
        )
    given = {field.name for field in inputs.spec.schema.fields}
    read = FAMILIES.get(teacher.spec.family).INPUTS
    lacking = [field.name for field in read if field.name not in given]
    if lacking:
        found.append(f"it reads {', '.join(lacking)}, which batches of the family {inputs.spec.family} do not hold")
    if wanted.hidden != "none":
        if inputs.spec.layout is None or teacher.spec.layout is None:
            return [*found, "hidden states are compared of described families only; use distillation.hidden=none"]
        if POOLED in (inputs.spec.layout.position, teacher.spec.layout.position):
            pooled = "a network that gives one vector for a text has no states of its tokens"
            return [*found, f"{pooled}; use distillation.hidden=none"]
        ours, theirs = _backbone(inputs.spec), _backbone(teacher.spec)
        if ours.width != theirs.width:
            found.append(f"its hidden states have width {theirs.width}, the student's {ours.width}")
        if wanted.hidden_states == "all" and theirs.layers % ours.layers:
            found.append(f"its {theirs.layers} layers are no multiple of the student's {ours.layers}")
    return found


def _backbone(spec: ModelSpec) -> Backbone:
    return FAMILIES.get(spec.family).backbone(spec.config)


def taught(
    inputs: Inputs, encoded: Mapping[str, Encoded], teacher: Opened, backend: ModuleType, device: str
) -> tuple[Inputs, dict[str, Encoded]]:
    """Inputs and splits whose batches have the teacher's fields; the training split has the columns for them.

    Student layer i of L is compared with the teacher's layer i M / L of M. The teacher computes in ``backend`` in fp32
    without dropout.

    Raises:
        InputError: the hidden states take too much memory.
    """
    wanted = inputs.config.distillation
    schema = BatchSchema.of(inputs.spec.schema.fields, wanted.fields)
    split = encoded["train"]
    states = _states(wanted, inputs.spec, teacher.spec) if wanted.hidden != "none" else ()
    if states:
        _check_memory(int(split.lengths.sum()) * len(states) * _backbone(teacher.spec).width * 4)
    columns = _outputs(inputs, split, teacher, states, backend, device)
    kept = {name: columns[name] for name in (field.name for field in wanted.fields)}
    found = {name: dataclasses.replace(one, schema=schema) for name, one in encoded.items()}
    found["train"] = dataclasses.replace(found["train"], columns={**split.columns, **kept})
    spec = dataclasses.replace(inputs.spec, schema=schema)
    return dataclasses.replace(inputs, spec=spec, teacher=teacher.spec.fingerprint), found


def _states(wanted: Distillation, student: ModelSpec, teacher: ModelSpec) -> tuple[int, ...]:
    """Of the teacher's states, 0 being the embeddings, those that the student's are compared with."""
    ours, theirs = _backbone(student).layers, _backbone(teacher).layers
    if wanted.hidden_states == "last":
        return (0, theirs)
    return tuple(layer * theirs // ours for layer in range(ours + 1))


def _outputs(
    inputs: Inputs, split: Encoded, teacher: Opened, states: tuple[int, ...], backend: ModuleType, device: str
) -> dict[str, Ragged | np.ndarray]:
    model = backend.build_model(teacher.spec, device)
    forward = import_module(f"{backend.__name__}.parity").forward
    names = [field.name for field in FAMILIES.get(teacher.spec.family).INPUTS]
    logits: dict[int, np.ndarray] = {}
    hidden: dict[int, np.ndarray] = {}
    config = inputs.config
    batches = evaluation_batches(split, config.training.evaluation_batch_size, config.data.length_multiple)
    for indices, batch in batches:
        found = forward(model, {name: batch[name] for name in names})
        for row, index in enumerate(indices):
            logits[index] = found["logits"][row]
            if states:
                length = split.lengths[index]
                hidden[index] = np.stack([found[f"hidden/{state:02d}"][row, :length] for state in states], axis=1)
    order = range(len(split))
    columns: dict[str, Ragged | np.ndarray] = {TEACHER_LOGITS.name: np.stack([logits[i] for i in order])}
    if states:
        columns[TEACHER_HIDDEN.name] = Ragged.of([hidden[i] for i in order])
    return columns


def _check_memory(size: int) -> None:
    import psutil

    free = psutil.virtual_memory().available
    if size > _SHARE * free:
        raise InputError(
            f"The teacher's hidden states of the training split take {size / 2**30:.1f} GiB, more than half of the "
            f"{free / 2**30:.1f} GiB that are free. Use distillation.hidden_states=last, hidden=none, or fewer examples "
            "(data.max_examples)."
        )
