"""The contract of a task: everything that is decided about it. Backends add the loss, in a module of the same name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from common.backend.batch import IGNORE, Batch, BatchSchema, Field
from common.data.encoding import Columns, Encoded
from common.data.roles import Role
from common.distributed import Group
from common.errors import InputError, nearest
from common.models.family import HeadLayout

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from transformers import PreTrainedTokenizerFast

    from common.backend.contract import Engine, EvalResult
    from common.config.schema import ModelConfig
    from common.data.profile import Profile, Recognised
    from common.data.readers import Table
    from common.data.registry import DatasetEntry
    from common.models.companions import Wish
    from common.models.specs import ModelSpec
    from common.training.assembly import Trained

__all__ = ["Answer", "Classified", "Draw", "Evaluator", "Task", "TaskOptions"]


@dataclass(frozen=True)
class Answer:
    """What a model says to one input."""

    plain: str  #: one line
    full: Mapping[str, Any]  #: ready for JSON


@dataclass(frozen=True)
class Classified:
    """One class for each example of a split."""

    target: np.ndarray  #: (examples,) class indices
    predicted: np.ndarray  #: (examples,) class indices
    confidence: np.ndarray  #: (examples,) probability of the predicted class


@dataclass(frozen=True)
class TaskOptions:
    """The entry ``model.task_options``. A task that has any derives a class with its fields, each with a default."""

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it) for values of the right type that do not fit."""
        yield from ()


class Draw(Protocol):
    """A source of reproducible integers in [low, high), int32 of ``shape``, that depend on ``name`` alone."""

    def __call__(self, name: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray: ...


class Evaluator(Protocol):
    """Metrics of one split, batch by batch. Several processes each see a part."""

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        """Take in one batch; row r is example ``indices[r]``, further rows count for nothing."""

    def reduce(self, group: Group) -> None:
        """Add what all processes saw."""

    def metrics(self) -> dict[str, float]:
        """Raises RunError where a value is not finite."""


class Task:
    """One task. Members override what differs; ``name`` is the file's, with hyphens.

    Args:
        options: of its class ``Options``; the defaults where none are given. Data are encoded and corrupted by them.
    """

    name: ClassVar[str]
    head: ClassVar[str]  #: which head of a family it uses: ``sequence``, ``token``, ``causal``, ``masked``, or its own
    new_head: ClassVar[bool] = True  #: whether its head is new on a pretrained model, and trained with every method
    assumed: ClassVar[bool] = (
        True  #: whether a checkpoint or adapter with its head, which names no task, is opened as it
    )
    peft_type: ClassVar[str | None]  #: PEFT's ``task_type``; None where it has none
    roles: ClassVar[tuple[Role, ...]]  #: columns it reads, the main text first
    FIELDS: ClassVar[tuple[Field, ...]]  #: of a batch, besides the family's inputs
    outputs: ClassVar[tuple[str, ...]] = ()  #: what the backends' loss returns besides the loss, by name
    metrics: ClassVar[Mapping[str, bool]]  #: name to whether higher is better
    taught: ClassVar[bool] = (
        False  #: whether the backends' modules have ``of_logits``, the loss from ``(batch, labels)``
    )
    smoothed: ClassVar[str | None] = None  #: how adversarial training compares its outputs, which needs ``of_logits``
    # of the backends too: "divergence" of classes or "squared" difference of numbers; None where it has no such way
    writes: ClassVar[bool] = False  #: whether its answers are texts that it generates
    converses: ClassVar[bool] = False  #: whether a prompt may be a list of messages
    Options: ClassVar[type[TaskOptions]] = TaskOptions
    options: Any  #: an object of ``Options``

    def __init__(self, options: Any = None):
        self.options = self.Options() if options is None else options

    def configured(self, given: Mapping[str, Any]) -> Task:
        """This task with the values of ``model.task_options``.

        Raises:
            InputError: everything that is wrong with them.
        """
        from common.config.convert import build

        problems: list[tuple[str, str]] = []
        options = build(self.Options, dict(given), (), lambda path, text: problems.append((".".join(path), text)), {})
        if not problems:
            problems += options.problems()
        if problems:
            listed = "; ".join(f"{entry} {text}" for entry, text in problems)
            raise InputError(f"model.task_options of task {self.name}: {listed}.")
        return type(self)(options)

    # Data

    def fits(self, roles: Mapping[str, Any]) -> bool:
        """Whether a data set of these roles has what the task needs."""
        return all(role.name in roles for role in self.roles if role.required)

    def recognise(self, profile: Profile) -> Recognised | None:
        """How a table would be read; None where it does not look like data of this task."""
        return None

    def label_names(self, entry: DatasetEntry, tables: Sequence[Table]) -> tuple[str, ...] | None:
        """Names of the classes by index; None for a task without classes."""
        return None

    def encode(
        self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int
    ) -> tuple[Columns, int]:
        """Columns of ids and targets, and the number of examples of which tokens were cut off. The first column is
        ``input_ids``; a column of targets that are not known is filled with what the loss ignores.

        Raises:
            InputError: a row cannot be encoded.
        """
        raise NotImplementedError

    def corpus(self, rows: datasets.Dataset) -> Iterator[str]:
        """Texts that a new tokenizer is trained on."""
        return (text for column in ("prompt", "text") if column in rows.column_names for text in rows[column])

    def corrupt(
        self, batch: dict[str, np.ndarray], encoded: Encoded, indices: np.ndarray, key: tuple[int, int]
    ) -> Batch:
        """The batch as it is trained on: masked, replaced or augmented as a function of (key, example) alone."""
        return batch

    # Model

    def layout(self, family: Any, config: Mapping[str, Any]) -> HeadLayout | None:
        """The head on ``family`` (`common.models.family.Family`); None where the family has none for it."""
        return family.head(self.head, config)

    def recorded(self) -> dict[str, Any]:
        """Values of the options that decide the head, where it is not the family's own: what config.json must say."""
        return {}

    def companion(self, family: Any, config: Mapping[str, Any], model: ModelConfig, folder: Path | None) -> Wish | None:
        """A second network that is trained with the first; None where there is none.

        Args:
            config: the complete configuration of the first.
            model: the section of the experiment.
            folder: of its checkpoint.
        """
        return None

    def entries(self, labels: tuple[str, ...] | None) -> dict[str, Any]:
        """Entries of the Hugging Face configuration."""
        if labels is None:
            return {}
        return {
            "num_labels": len(labels),
            "id2label": {str(i): name for i, name in enumerate(labels)},
            "label2id": {name: i for i, name in enumerate(labels)},
        }

    def schema(self, family: Any) -> BatchSchema:
        """Fields of a batch for ``family``."""
        return BatchSchema.of(family.INPUTS, self.FIELDS)

    def asked(self, rows: Any) -> list[str]:
        """The prompts of rows of a data set that has some, as a model is asked them."""
        return list(rows["prompt"])

    # Loss and metrics

    def targets(self, batch: Batch) -> int:
        """Number of targets of a batch, by which its loss is divided."""
        return int((batch["labels"] != IGNORE).sum())

    def ignored(self, batch: Batch) -> Batch:
        """The same batch without a target: its loss and gradients are 0."""
        return {**batch, "labels": np.full_like(batch["labels"], IGNORE)}

    def real_rows(self, batch: Batch) -> np.ndarray:
        """Which rows hold an example with a target, bool ``(batch,)``."""
        labels = batch["labels"]
        return (labels != IGNORE).reshape(len(labels), -1).any(axis=1)

    def evaluator(self, encoded: Encoded) -> Evaluator:
        """A fresh evaluator of one split."""
        raise NotImplementedError

    def classified(self, evaluator: Evaluator) -> Classified | None:
        """What a finished evaluation says of each example; None for a task that does not give one class to each."""
        return None

    def measured(self, labels: tuple[str, ...] | None) -> Mapping[str, bool]:
        """Those of its ``metrics`` that an evaluation over these classes reports."""
        return self.metrics

    def step_targets(self, micro_batches: Sequence[Batch]) -> int:
        """Targets of an optimizer step.

        Raises:
            InputError: there is none.
        """
        count = sum(map(self.targets, micro_batches))
        if count == 0:
            raise InputError("An optimizer step needs at least one target; every label of this one is ignored.")
        return count

    def weighted(self, micro_batches: Sequence[Batch]) -> Sequence[Batch]:
        """The micro-batches of an optimizer step, ready for an engine: a task whose loss has several terms, each a mean of
        its own, brings them to the one denominator `step_targets` here."""
        return micro_batches

    def higher_is_better(self, metric: str) -> bool:
        """Of one of its metrics."""
        if metric not in self.metrics:
            known = self.metrics
            raise InputError(
                f"A metric must be one of {', '.join(known)}; received {metric!r}.{nearest(metric, known)}"
            )
        return self.metrics[metric]

    # Use

    def parse(self, line: str) -> dict[str, Any]:
        """The roles of one line of input.

        Raises:
            InputError: the line is not in the task's form.
        """
        return {self.roles[0].name: line}

    def prompt_ids(
        self, prompts: Sequence[str], tokenizer: PreTrainedTokenizerFast, columns: Sequence[str]
    ) -> list[list[int]]:
        """Token ids of prompts that a text is written to, as data of these columns were read in training.

        Raises:
            InputError: the task writes no text.
        """
        raise InputError(
            f"Text is generated by causal language models and encoder-decoders; this one was trained for {self.name}. "
            "Use twinlora predict."
        )

    def fitted(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
        """The tokenizer of a run, with what the task must find in it again."""
        return tokenizer

    def opening(self, tokenizer: PreTrainedTokenizerFast) -> int | None:
        """The token that a text of its own begins with, which an encoder-decoder writes to a prompt; None where texts
        continue the prompt."""
        return None

    def ends(self, tokenizer: PreTrainedTokenizerFast) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Tokens and texts after which a text that is written is complete."""
        return (tokenizer.eos_token_id,), ()

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """One answer for each row of roles."""
        from common.training.prediction import outputs_of

        yield from self.answers(rows, outputs_of(trained, engine, rows), trained.labels)

    def answers(
        self, rows: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, np.ndarray]], labels: Any
    ) -> Iterator[Answer]:
        """Answers from the outputs of each row."""
        raise NotImplementedError

    # Tests, parity and benchmarks

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Random targets that fit ``inputs``; see `common.tasks.example.example_batch`."""
        raise NotImplementedError

    def example_labels(self) -> tuple[str, ...] | None:
        """Names of classes for a model of such a batch."""
        return None
