"""A teacher's outputs on the training split: computed once, before the first step, and carried in the batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

import numpy as np

from common.backend import Batch
from common.backend.batch import BatchSchema
from common.backend.distillation import (
    PROJECTION,
    TEACHER_ATTENTION,
    TEACHER_HIDDEN,
    TEACHER_LOGITS,
    Distillation,
)
from common.data import Encoded, Ragged, encode, evaluation_batches
from common.edits import Normal, ParameterSpec
from common.errors import InputError
from common.models import FAMILIES
from common.models.family import POOLED, Backbone
from common.models.modules import DISTANCES
from common.models.specs import ModelSpec
from common.training import fingerprints
from common.training.assembly import Inputs
from common.training.attending import attention_problems, heads_of, probabilities
from common.training.teachers import Teacher, open_source, reader

__all__ = ["open_teacher", "refuse_misfit", "taught"]

_SHARE = 0.5  #: of the free memory, what hidden states and probabilities may take


def open_teacher(inputs: Inputs) -> Teacher | None:
    """The teacher that the configuration names.

    A teacher of another family or with another tokenizer reads the same texts as tokens of its own. Hidden states and
    probabilities of attention are those of tokens, so that they are compared where both read the same ones.

    Raises:
        InputError: the task has no teachers, or teacher and student do not fit.
    """
    wanted, task = inputs.config.distillation, inputs.task
    if wanted.teacher is None:
        return None
    if not task.taught:
        raise InputError(f"distillation.teacher is for tasks with classes of whole texts; the task is {task.name}.")
    teacher = open_source(wanted.teacher, task.name)
    refuse_misfit(inputs, teacher)
    return teacher


def refuse_misfit(inputs: Inputs, teacher: Teacher) -> None:
    """Raise InputError where ``teacher`` and student do not fit."""
    wanted = inputs.config.distillation
    problems = [*_problems(inputs, teacher), *(_problems_of_states(inputs, teacher) if wanted.states else ())]
    if problems:
        raise InputError(f"The teacher {wanted.teacher} does not fit the student: " + "; ".join(problems) + ".")


def _problems(inputs: Inputs, teacher: Teacher) -> Iterator[str]:
    if teacher.spec is not None and teacher.spec.new_parameters and teacher.trained is None:
        yield f"its head is not trained ({', '.join(teacher.spec.new_parameters)})"
    if sorted(teacher.labels) != sorted(inputs.data.label_names or ()):
        yield f"its classes are {teacher.labels}, those of the data {inputs.data.label_names}"
    if inputs.spec.layout is not None and inputs.spec.layout.kind is DISTANCES:
        yield "the student's logits are distances, which a teacher's are not; set model.task_options.loss to softmax"
    if teacher.logits is not None and fingerprints.of_data(inputs.data)["train"] != teacher.texts:
        yield "it holds logits of other texts than those of the training split"


def _problems_of_states(inputs: Inputs, teacher: Teacher) -> Iterator[str]:
    wanted, spec, length = inputs.config.distillation, teacher.spec, inputs.config.data.max_length
    if spec is None or teacher.exported or teacher.tokenizer is None:
        yield "it gives logits alone; use distillation.hidden=none and distillation.attention=none"
        return
    if inputs.spec.layout is None or spec.layout is None:
        yield "hidden states are compared of described families only; use distillation.hidden=none"
        return
    if POOLED in (inputs.spec.layout.position, spec.layout.position):
        yield "a network that gives one vector for a text has no states of its tokens; use distillation.hidden=none"
        return
    if fingerprints.of_tokenizer(teacher.tokenizer) != fingerprints.of_tokenizer(inputs.tokenizer):
        yield "its tokenizer is another one, so that its hidden states are those of other tokens"
    if teacher.positions is not None and length > teacher.positions:
        yield f"it takes {teacher.positions} tokens at most, and data.max_length is {length}"
    given = {field.name for field in inputs.spec.schema.fields}
    lacking = [field.name for field in spec.schema.fields if field.name not in given]
    if lacking:
        yield f"it reads {', '.join(lacking)}, which batches of the family {inputs.spec.family} do not hold"
    if teacher.trained is not None and teacher.trained.plan.prepended:
        yield "it puts virtual tokens before a sequence, whose hidden states the student's have no place for"
    if inputs.config.training.shard and _width(inputs.spec) != _width(spec):
        yield "training.shard has no place for a projection between hidden states of two widths; set it to false"
    ours, theirs = _backbone(inputs.spec), _backbone(spec)
    if "all" in (wanted.hidden_states, wanted.attention_layers) and theirs.layers % ours.layers:
        yield f"its {theirs.layers} layers are no multiple of the student's {ours.layers}"
    if wanted.attention != "none" and not (teacher.trained is not None and teacher.trained.plan.prepended):
        merged = teacher.merged()  # of which the probabilities are computed
        yield from attention_problems(inputs.spec, merged, inputs.plan.prepended, wanted.attention_layers)


def _backbone(spec: ModelSpec) -> Backbone:
    return FAMILIES.get(spec.family).backbone(spec.config)


def _width(spec: ModelSpec) -> int:
    return _backbone(spec).width


def _projection(student: int, teacher: int) -> tuple[ParameterSpec, ...]:
    """What brings hidden states of width ``student`` to width ``teacher``: one matrix ``(teacher, student)`` for all
    states, learned with the student and kept out of what is stored of it; nothing where the widths agree."""
    start = Normal(student**-0.5)
    return () if student == teacher else (ParameterSpec(PROJECTION, (teacher, student), "distillation", start),)


def taught(
    inputs: Inputs, encoded: Mapping[str, Encoded], teacher: Teacher, backend: ModuleType, device: str
) -> tuple[Inputs, dict[str, Encoded]]:
    """Inputs and splits whose batches have the teacher's fields; the training split has the columns for them.

    Student layer i of L is compared with the teacher's layer i M / L of M. The teacher computes in ``backend`` in fp32
    without dropout.

    Raises:
        InputError: the hidden states or probabilities take too much memory.
    """
    wanted, split = inputs.config.distillation, encoded["train"]
    schema = BatchSchema.of(inputs.spec.schema.fields, wanted.fields)
    columns = _columns(inputs, split, teacher, backend, device)
    kept = {name: columns[name] for name in (field.name for field in wanted.fields)}
    found = {name: dataclasses.replace(one, schema=schema) for name, one in encoded.items()}
    found["train"] = dataclasses.replace(found["train"], columns={**split.columns, **kept})
    beside: tuple[ParameterSpec, ...] = ()
    if wanted.hidden != "none":
        assert teacher.spec is not None  # or it was refused
        beside = _projection(_width(inputs.spec), _width(teacher.spec))
    spec = dataclasses.replace(inputs.spec, schema=schema)
    return dataclasses.replace(inputs, spec=spec, teacher=teacher.fingerprint, beside=beside), found


def _columns(
    inputs: Inputs, split: Encoded, teacher: Teacher, backend: ModuleType, device: str
) -> dict[str, Ragged | np.ndarray]:
    """What the teacher says of every example, in the order of the classes of the data."""
    order = [teacher.labels.index(name) for name in inputs.data.label_names or ()]
    if teacher.logits is not None:
        return {TEACHER_LOGITS.name: teacher.logits[:, order]}
    wanted = inputs.config.distillation
    given = split if wanted.states else _own(inputs, teacher)
    read = reader(teacher, wanted.states, backend, device)
    found = _read(inputs, given, read, _takers(inputs, given, teacher) if wanted.states else {})
    columns: dict[str, Ragged | np.ndarray] = {
        name: Ragged.of(rows) for name, rows in found.items() if name != TEACHER_LOGITS.name
    }
    logits = np.stack(found[TEACHER_LOGITS.name])[:, order]
    return {TEACHER_LOGITS.name: np.ascontiguousarray(logits, np.float32), **columns}


def _own(inputs: Inputs, teacher: Teacher) -> Encoded:
    """The training split as the teacher's own tokens, as many of a text as it was trained with."""
    assert teacher.tokenizer is not None
    assert teacher.spec is not None
    length = inputs.config.data.max_length if teacher.trained is None else teacher.trained.config.data.max_length
    if teacher.positions is not None:
        length = min(length, teacher.positions)
    section = dataclasses.replace(inputs.config.data, max_length=length)
    task = inputs.task if teacher.trained is None else teacher.trained.task  # with options of its own
    return encode(inputs.data, "train", teacher.tokenizer, section, task, teacher.spec.schema)


Taker = Callable[[Mapping[str, np.ndarray], int, int], np.ndarray]  #: of outputs, row and length: an example's values


def _takers(inputs: Inputs, split: Encoded, teacher: Teacher) -> dict[str, Taker]:
    """What is kept of an example besides logits, by column.

    Raises:
        InputError: it takes too much memory.
    """
    wanted, spec = inputs.config.distillation, teacher.spec
    assert spec is not None  # or it was refused
    ours, theirs = _backbone(inputs.spec).layers, _backbone(spec).layers
    found: dict[str, Taker] = {}
    numbers = 0
    if wanted.hidden != "none":
        states = _states(wanted, ours, theirs)
        numbers += len(states) * _width(spec)
        found[TEACHER_HIDDEN.name] = lambda outputs, row, length: np.stack(
            [outputs[f"hidden/{state:02d}"][row, :length] for state in states], axis=1
        )
    if wanted.attention != "none":
        every = range(1, ours + 1) if wanted.attention_layers == "all" else (ours,)
        layers = [layer * theirs // ours - 1 for layer in every]
        keys = _keys(split, inputs.config.data.length_multiple)
        numbers += len(layers) * heads_of(spec)[layers[0]] * keys
        merged = teacher.merged()
        found[TEACHER_ATTENTION.name] = lambda outputs, row, length: np.stack(
            [
                _padded(probabilities(merged, layer, outputs[f"hidden/{layer:02d}"][row, :length]), keys)
                for layer in layers
            ],
            axis=1,
        )
    _check_memory(int(split.lengths.sum()) * numbers * 4)
    return found


def _states(wanted: Distillation, ours: int, theirs: int) -> tuple[int, ...]:
    """Of the teacher's states, 0 being the embeddings, those that the student's are compared with."""
    if wanted.hidden_states == "last":
        return (0, theirs)
    return tuple(layer * theirs // ours for layer in range(ours + 1))


def _keys(split: Encoded, multiple: int) -> int:
    """Tokens of the longest batch."""
    return min(-(-int(split.lengths.max()) // multiple) * multiple, split.max_length)


def _padded(found: np.ndarray, keys: int) -> np.ndarray:
    """``(heads, seq, seq)`` to ``(seq, heads, keys)``, 0 behind the end."""
    turned = found.transpose(1, 0, 2)
    return np.pad(turned, ((0, 0), (0, 0), (0, keys - turned.shape[2]))).astype(np.float32)


def _read(
    inputs: Inputs, split: Encoded, read: Callable[[Batch], Mapping[str, np.ndarray]], takers: Mapping[str, Taker]
) -> dict[str, list[np.ndarray]]:
    """Logits and what ``takers`` take, of every example in order."""
    config = inputs.config
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in (TEACHER_LOGITS.name, *takers)}
    for indices, batch in evaluation_batches(split, config.training.evaluation_batch_size, config.data.length_multiple):
        outputs = read(batch)
        for row, index in enumerate(indices):
            found[TEACHER_LOGITS.name][index] = outputs["logits"][row]
            for name, take in takers.items():
                found[name][index] = take(outputs, row, int(split.lengths[index]))
    return {name: [rows[index] for index in range(len(split))] for name, rows in found.items()}


def _check_memory(size: int) -> None:
    import psutil

    free = psutil.virtual_memory().available
    if size > _SHARE * free:
        raise InputError(
            f"The teacher's hidden states and probabilities of the training split take {size / 2**30:.1f} GiB, more "
            "than "
            f"half of the {free / 2**30:.1f} GiB that are free. Use distillation.hidden_states=last, hidden=none, "
            "attention=none, or fewer examples (data.max_examples)."
        )
