"""Meta pseudo labels (Pham et al. 2021): a teacher labels texts, a student learns from them, and the teacher learns
from how well the student then does on texts with labels.

With q the teacher's probabilities of N unlabelled texts, s the student's, and L the student's mean loss on the labels,

    student     w' = w - rate g,   g = gradient by w of the mean of -sum over classes of q log s
    teacher     minimises its own loss on the labels + weight L(w')

The exact form differentiates L(w') through that step: since g is linear in q,

    dL(w') / dq_ic = rate / N u_ic,   u_ic = derivative of log s_ic at w in the direction of the gradient of L at w'

so that the teacher's meta term is the sum over i, c of q_ic times a constant, whose gradient by the teacher's
parameters is the meta gradient. The directional derivative is a central difference along that direction. The
first-order form draws one class y_i for each text from q, and weighs the teacher's cross-entropy with these by h = L(w)
- L(w'), which is rate gradient(L) . g to first order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from common.backend import IGNORE, Batch, Engine, EvalResult, StepHandle
from common.backend.batch import BatchSchema
from common.backend.distillation import LINEAR, LOG_LINEAR, TEACHER_LOGITS, Distillation
from common.backend.meta import Meta
from common.data import BatchPlan, Encoded, TextData, encode
from common.data.own import TEXTS, read_unlabelled, require_classes
from common.errors import InputError
from common.methods import METHODS
from common.random import gumbel
from common.strict import check_arrays
from common.training import fingerprints
from common.training.assembly import Inputs, build_engine

__all__ = [
    "Learner",
    "MetaEngine",
    "first_order",
    "meta_engine",
    "refuse_unfit",
    "through_the_step",
    "unlabelled_texts",
    "with_unlabelled",
]

Arrays = Mapping[str, np.ndarray]
_STEP = 1e-3  #: of a central difference at the most, in relation to the norm of the parameters
_CHANGE = 1e-2  #: of the loss by that step at the most: beyond it, large networks are no longer straight
_CERTAIN = 30.0  #: logit of a label: e^-30 is nothing beside 1
_TEACHER = "teacher."  #: of its arrays in the state
_ROWS = "real rows"  #: in the batches of this module alone: which rows hold an example


class Learner(Protocol):
    """A student, as far as the meta gradient must know it."""

    def parameters(self) -> Arrays:
        """Copies of what is trained."""

    def put(self, arrays: Arrays) -> None:
        """Inverse of ``parameters``."""

    def log_probabilities(self, batches: Any) -> np.ndarray:
        """``(rows, classes)`` of texts."""

    def gradient(self, batches: Any, targets: np.ndarray) -> Arrays:
        """Of the mean over rows of -sum over classes of ``targets`` ``(rows, classes)`` times the log probabilities."""


def through_the_step(
    student: Learner, unlabelled: Any, q: np.ndarray, labelled: Any, labels: np.ndarray, rate: float
) -> np.ndarray:
    """Take the student's step, and differentiate its loss on the labels afterwards by the teacher's probabilities.

    Args:
        q: of the unlabelled texts, ``(rows, classes)``.
        labels: of the labelled texts, as probabilities.

    Returns:
        dL(w') / dq, ``(rows, classes)`` float64. The student is left at w'.
    """
    before, after = _stepped(student, unlabelled, q, rate)
    direction = student.gradient(labelled, labels)
    norm = _norm(direction)
    if norm == 0.0:
        return np.zeros_like(q, np.float64)
    size = min(_STEP * max(_norm(before), _STEP), _CHANGE / norm) / norm
    sides = []
    for sign in (1.0, -1.0):
        student.put({name: array + sign * size * direction[name] for name, array in before.items()})
        sides.append(student.log_probabilities(unlabelled).astype(np.float64))
    student.put(after)
    return rate / len(q) * (sides[0] - sides[1]) / (2.0 * size)


def first_order(
    student: Learner, unlabelled: Any, q: np.ndarray, labelled: Any, labels: np.ndarray, rate: float
) -> float:
    """Take the student's step on classes that were drawn, ``q`` of zeros and ones; h of them. The student is left at
    w'."""
    before = _loss(student, labelled, labels)
    _stepped(student, unlabelled, q, rate)
    return before - _loss(student, labelled, labels)


def _stepped(student: Learner, unlabelled: Any, q: np.ndarray, rate: float) -> tuple[Arrays, Arrays]:
    before = student.parameters()
    gradient = student.gradient(unlabelled, q)
    after = {name: array - rate * gradient[name] for name, array in before.items()}
    student.put(after)
    return before, after


def _loss(student: Learner, labelled: Any, labels: np.ndarray) -> float:
    return float(-(student.log_probabilities(labelled).astype(np.float64) * labels).sum(1).mean())


def _norm(arrays: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays.values())))


class _Student:
    """A `Learner` of an engine whose loss is the soft cross-entropy. Batches are lists of micro-batches of one size."""

    def __init__(self, engine: Engine):
        self._engine = engine

    def parameters(self) -> Arrays:
        return {name: array.astype(np.float64) for name, array in self._engine.trainable().items()}

    def put(self, arrays: Arrays) -> None:
        self._engine.load_trainable({name: array.astype(np.float32) for name, array in arrays.items()})

    def log_probabilities(self, batches: Sequence[Batch]) -> np.ndarray:
        return _log_probabilities(self._engine, batches)

    def gradient(self, batches: Sequence[Batch], targets: np.ndarray) -> Arrays:
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(targets), -_CERTAIN)
        return self._engine.gradients(_with(batches, logs, 0))


def _log_probabilities(engine: Engine, batches: Sequence[Batch]) -> np.ndarray:
    """Of the real rows of all batches, ``(rows, classes)`` float64."""
    logits = [engine.eval_step(_plain(batch)).outputs["logits"][batch[_ROWS]] for batch in batches]
    logs = np.concatenate(logits).astype(np.float64)
    logs -= logs.max(1, keepdims=True)
    return logs - np.log(np.exp(logs).sum(1, keepdims=True))


def _plain(batch: Batch) -> dict[str, np.ndarray]:
    return {name: array for name, array in batch.items() if name != _ROWS}


def _with(batches: Sequence[Batch], values: np.ndarray, label: int) -> list[dict[str, np.ndarray]]:
    """The batches with ``values`` ``(rows, classes)`` of their real rows as the teacher's field, and this label."""
    found, start = [], 0
    for batch in batches:
        real = batch[_ROWS]
        field = np.zeros((len(real), values.shape[1]), np.float32)
        field[real] = values[start : start + int(real.sum())]
        start += int(real.sum())
        labels = np.where(real, label, IGNORE).astype(batch["labels"].dtype)
        found.append({**_plain(batch), "labels": labels, TEACHER_LOGITS.name: field})
    return found


class MetaEngine:
    """Implements `common.backend.Engine`: of the student, except for what a step trains. The loss and the norm of a
    step are those of the teacher.

    Args:
        student: its loss is the soft cross-entropy with the field of the teacher.
        teacher: its loss is the task's, and the linear term of that field.
        unlabelled: batches of texts without labels, in the order of training.
    """

    def __init__(self, student: Engine, teacher: Engine, unlabelled: BatchPlan, settings: Meta, seed: int):
        self.student, self.teacher, self.unlabelled = student, teacher, unlabelled
        self.settings, self.seed = settings, seed
        self.model, self.group, self.compilations = student.model, student.group, student.compilations
        self._learner, self._steps = _Student(student), 0
        self._stream: Iterator[list[Batch]] | None = None

    def train_step(self, micro_batches: Sequence[Batch], learning_rate: float) -> StepHandle:
        """The student's step on pseudo labels, then the teacher's."""
        texts = self._texts()
        labelled = [{**batch, _ROWS: batch["labels"] != IGNORE} for batch in micro_batches]
        logs = _log_probabilities(self.teacher, texts)
        labels = np.concatenate([batch["labels"][batch[_ROWS]] for batch in labelled])
        truth = np.eye(logs.shape[1])[labels]
        rate = self.settings.learning_rate
        if self.settings.form == "exact":
            term = through_the_step(self._learner, texts, np.exp(logs), labelled, truth, rate)
        else:
            noise = gumbel(self.seed, f"meta {self._steps}", logs.size, np.arange(logs.size)).reshape(logs.shape)
            drawn = np.eye(logs.shape[1])[(logs + noise).argmax(1)]
            term = -first_order(self._learner, texts, drawn, labelled, truth, rate) / len(drawn) * drawn
        count = len(labels)  # by which the teacher's engine divides the sum of its loss
        terms = _with(texts, self.settings.weight * count * term, IGNORE)
        handle = self.teacher.train_step([*micro_batches, *terms], learning_rate)
        self._steps += 1
        return handle

    def _texts(self) -> list[Batch]:
        """Unlabelled batches of the next step."""
        epoch, done = divmod(self._steps, self.unlabelled.steps_per_epoch)
        if self._stream is None or done == 0:
            self._stream = self.unlabelled.epoch(epoch, done)
        size = len(self.unlabelled.indices(epoch)[done])
        found: list[Batch] = []
        for batch in next(self._stream):
            seen = sum(len(one["labels"]) for one in found)
            found.append({**batch, _ROWS: np.arange(len(batch["labels"])) < size - seen})
        return found

    def fetch(self, handles: Sequence[StepHandle]) -> list[tuple[float, float]]:
        """Of the teacher."""
        return self.teacher.fetch(handles)

    def eval_step(self, batch: Batch) -> EvalResult:
        """Of the student."""
        return self.student.eval_step(batch)

    def gradients(self, micro_batches: Sequence[Batch]) -> dict[str, np.ndarray]:
        """Of the student."""
        return self.student.gradients(micro_batches)

    def collect(self, examples: Iterable[Batch]) -> dict[str, np.ndarray]:
        """Of the student."""
        return self.student.collect(examples)

    def trainable(self) -> dict[str, np.ndarray]:
        """Of the student."""
        return self.student.trainable()

    def frozen(self) -> Iterator[tuple[str, np.ndarray]]:
        """Of the student."""
        return self.student.frozen()

    def load_trainable(self, arrays: Arrays) -> None:
        """Into the student."""
        self.student.load_trainable(arrays)

    def state(self) -> dict[str, np.ndarray]:
        """The teacher's parameters and optimizer; a student's plain step has no state."""
        found = self.teacher.state()
        step = found.pop("step")
        return {
            "step": step,
            **{f"{_TEACHER}trainable.{name}": array for name, array in self.teacher.trainable().items()},
            **{f"{_TEACHER}state.{name}": array for name, array in found.items()},
        }

    def load_state(self, arrays: Arrays) -> None:
        """Strict inverse of ``state``."""
        check_arrays(self.state(), arrays)

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        self.teacher.load_trainable(part(f"{_TEACHER}trainable."))
        self.teacher.load_state({"step": arrays["step"], **part(f"{_TEACHER}state.")})
        self._steps, self._stream = int(arrays["step"]), None

    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """Of the student."""
        return self.student.logits_at(batch, positions)

    def decoder(self, capacity: int) -> None:
        """None: it classifies."""

    def translator(self) -> None:
        """None: it classifies."""

    def attentions(self, batch: Batch) -> None:
        """None: it writes nothing."""


def with_unlabelled(inputs: Inputs, encoded: Mapping[str, Encoded]) -> tuple[Inputs, dict[str, Encoded]]:
    """Inputs and splits whose batches have the teacher's field; the split ``unlabelled`` is added.

    Raises:
        InputError: the file of texts or the method does not fit.
    """
    refuse_unfit(inputs)
    texts, config = unlabelled_texts(inputs), inputs.config
    schema = BatchSchema.of(inputs.spec.schema.fields, (TEACHER_LOGITS,))
    found = {**encoded, "unlabelled": encode(texts, "train", inputs.tokenizer, config.data, inputs.task, schema)}
    spec = dataclasses.replace(inputs.spec, schema=schema)
    changed = dataclasses.replace(inputs, spec=spec, teacher=fingerprints.of_data(texts)["train"])
    return changed, {name: dataclasses.replace(one, schema=schema) for name, one in found.items()}


def unlabelled_texts(inputs: Inputs) -> TextData:
    """What ``meta.unlabelled`` names, as a training split without labels.

    Raises:
        InputError: it cannot be read, or has no such column.
    """
    from datasets import Dataset

    config = inputs.config
    assert config.meta.unlabelled is not None  # or this is not called
    require_classes(inputs.data, "Meta pseudo labels")
    parts = [part for part in TEXTS if part in inputs.data.splits["train"].column_names]
    rows = read_unlabelled(config.meta.unlabelled, config.data, parts)
    return TextData({"train": Dataset.from_list(rows)}, inputs.data.label_names, frozenset({"train"}))


def refuse_unfit(inputs: Inputs) -> None:
    """Raise InputError where the method or the settings give a student no gradient that is one."""
    _refuse_rounding(inputs)
    if METHODS.get(inputs.plan.method).steering(inputs.plan) is not None:
        raise InputError(
            "The student of meta pseudo labels takes plain steps along its gradient, and the method "
            f"{inputs.plan.method} changes more in a step. Use another adaptation.method."
        )


def _refuse_rounding(inputs: Inputs) -> None:
    """Raise InputError where a small step of the student gives no difference, or plain steps no trained student."""
    config, method = inputs.config, METHODS.get(inputs.plan.method)
    if method.rounds:
        raise InputError(
            f"The student of meta pseudo labels takes plain steps along its gradient, and the method {method.name} "
            "computes "
            "with rounded numbers, of which it observes ranges in steps of its own. Use another adaptation.method, and "
            f"train with {method.name} afterwards."
        )
    if config.meta.form != "exact":
        return
    remedy = "Set meta.form=first-order"
    if config.training.dtype != "fp32":
        raise InputError(
            "The exact form of meta pseudo labels is a difference of small steps, which training.dtype "
            f"{config.training.dtype} rounds away. {remedy}, or training.dtype=fp32."
        )
    rounding = [edit.path for edit in inputs.spec.edits if getattr(edit.arguments, "activations", "none") != "none"]
    if rounding:
        raise InputError(
            "The exact form of meta pseudo labels is a difference of small steps, which integers of activations round "
            f"away; {rounding[0]} has some. {remedy}, or begin with a model of activations=none."
        )


def meta_engine(inputs: Inputs, unlabelled: Encoded, backend: ModuleType, device: str, batch: int) -> MetaEngine:
    """Two engines of the same model in ``backend``.

    Args:
        batch: rows of a step without labels.
    """
    config = inputs.config

    def engine(wanted: Distillation) -> Engine:
        section = dataclasses.replace(config, distillation=wanted)
        return build_engine(backend, device, section, inputs.spec, inputs.plan)

    student = engine(Distillation("meta", "soft", 1.0, task_weight=0.0))
    teacher = engine(Distillation("meta", LINEAR if config.meta.form == "exact" else LOG_LINEAR, 1.0))
    plan = BatchPlan(unlabelled, batch, config.training.micro_batch_size, config.data.length_multiple, config.seed)
    return MetaEngine(student, teacher, plan, config.meta, config.seed)
