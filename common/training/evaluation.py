"""Scoring a model on one split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.backend import Batch, Engine, EvalResult
from common.data import Encoded, encode, evaluation_batches, load_dataset
from common.distributed import share
from common.errors import InputError
from common.reading import expanded

__all__ = ["evaluate", "evaluated", "results", "score"]

if TYPE_CHECKING:
    from common.tasks.task import Evaluator
    from common.training.assembly import Trained

#: said where an engine gives less than the task reports: that of an exported model, which gives logits alone
UNSCORED = (
    "An exported model gives logits alone, and the scores of {task} need more; it is not scored. Score the run that it was "
    "made of: twinlora eval RUN."
)
Numbered = tuple[np.ndarray, Batch]


def evaluate(
    engine: Engine, encoded: Encoded, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """The task's metrics of the whole split. ``check`` is called before every batch and may raise.

    Raises:
        RunError: the model's loss or outputs are not finite.
    """
    return evaluated(engine, encoded, batch_size, length_multiple, check).metrics()


def evaluated(
    engine: Engine, encoded: Encoded, batch_size: int, length_multiple: int, check: Callable[[], None] = lambda: None
) -> Evaluator:
    """As `evaluate`: the evaluator, which has seen the whole split."""
    evaluator = encoded.task.evaluator(encoded)
    for indices, batch, result in results(engine, encoded, batch_size, length_multiple, check):
        evaluator.update(indices, batch, result)
    evaluator.reduce(engine.group)
    return evaluator


def results(
    engine: Engine,
    encoded: Encoded,
    batch_size: int,
    length_multiple: int,
    check: Callable[[], None] = lambda: None,
    apart: bool = False,
) -> Iterator[tuple[np.ndarray, Batch, EvalResult]]:
    """Yield (indices, batch, result) of every batch that falls to this process; ``apart`` as of
    `common.data.evaluation_batches`.

    Every process gets equally many, the last perhaps without an example: each batch tells the shape of the outputs,
    and all processes may have to gather the weights together.
    """

    choose = getattr(engine, "choose", None)  # of one whose rows have adapters of their own

    def idle(numbered: Numbered) -> Numbered:
        indices, batch = numbered
        return indices[:0], encoded.task.ignored(batch)

    batches = evaluation_batches(encoded, batch_size, length_multiple, apart)
    for _, (indices, batch) in share(batches, engine.group, idle):
        check()
        if choose is not None:
            choose(indices, len(encoded))
        result = engine.eval_step(batch)
        if not set(encoded.task.outputs) <= set(result.outputs):
            raise InputError(UNSCORED.format(task=encoded.task.name))
        yield indices, batch, result


def score(trained: Trained, engine: Engine, split: str, directory: str | Path | None = None) -> dict[str, float]:
    """Metrics of a trained run on one split of its data set.

    Args:
        directory: folder of the data set; None: where the run found it.

    Raises:
        InputError: the split does not exist, its targets were not published, or the classes are others.
    """
    config = trained.config
    found = str(expanded(directory).resolve()) if directory else config.data.directory
    section = dataclasses.replace(config.data, directory=found)
    data = load_dataset(section, trained.task)
    if split in data.unlabelled:
        raise InputError(
            f"The labels of the {split} split of {section.name} were not published, so it cannot be scored. "
            "Use --split validation."
        )
    if trained.labels != data.label_names:
        raise InputError(
            f"The run was trained on the labels {trained.labels}, but this data set has {data.label_names}. "
            "Give the data it was trained on."
        )
    encoded = encode(data, split, trained.tokenizer, section, trained.task, trained.spec.schema)
    return evaluate(engine, encoded, config.training.evaluation_batch_size, section.length_multiple)
