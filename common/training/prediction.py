"""Answers of a trained run to new text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common.backend import Engine
from common.data import Encoded, TextData, encode_rows
from common.data.readers import Table
from common.data.roles import Reading
from common.errors import InputError, RunError, nearest
from common.reading import parse_json, plain_problem
from common.tasks import Task
from common.tasks.task import Answer
from common.terminal import notice
from common.training.assembly import Trained
from common.training.evaluation import results

__all__ = [
    "answer_lines",
    "asked_rows",
    "checked_row",
    "encoded_rows",
    "outputs_of",
    "parse_object",
    "refuse_not_finite",
]

_INPUT = "standard input"
_CORRECT = "Each line is an object of its own; correct it."


def outputs_of(trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, np.ndarray]]:
    """The task's outputs for each row of roles, tokenised and truncated as in training.

    Raises:
        RunError: one is not finite.
    """
    if not rows:
        return []
    settings = trained.config.data
    encoded = encoded_rows(trained, rows)
    if encoded.truncated:
        notice(f"Texts are read up to data.max_length = {settings.max_length} tokens, as in training; some are longer.")
    size = trained.config.training.evaluation_batch_size
    found: list[dict[str, np.ndarray]] = [{} for _ in rows]
    for indices, batch, result in results(engine, encoded, size, settings.length_multiple, apart=trained.apart):
        mask = batch.get("attention_mask")
        for row, index in enumerate(indices):
            found[index] = {name: output[row] for name, output in result.outputs.items()}
            refuse_not_finite(found[index], None if mask is None else mask[row])
    return found


def refuse_not_finite(outputs: Mapping[str, np.ndarray], mask: np.ndarray | None = None) -> None:
    """Raise RunError where what an answer is made of is no number: the largest of such outputs would be any.

    Args:
        outputs: of one row.
        mask: which tokens of it are read, ``(seq,)``; outputs ``(seq, ...)`` of others mean nothing.
    """
    for name, values in outputs.items():
        read = values[mask == 1] if mask is not None and values.ndim > 1 and len(values) == len(mask) else values
        if not np.isfinite(read).all():
            raise RunError(
                f"An answer is made of finite numbers; the model gives {name} that are not finite. Evaluate it: it may "
                "have diverged, or its weights exceed what it is computed in."
            )


def encoded_rows(trained: Trained, rows: Sequence[Mapping[str, Any]]) -> Encoded:
    """One row or more, tokenised and truncated as in training. What is asked leaves no trace in the cache."""
    from datasets import Dataset

    data = TextData({"input": Dataset.from_list([dict(row) for row in rows])}, trained.labels, frozenset({"input"}))
    return encode_rows(data, "input", trained.tokenizer, trained.config.data, trained.task, trained.spec.schema)


def parse_object(task: Task, line: str, number: int) -> dict[str, Any]:
    """The roles that ``task`` reads of a line that holds a JSON object; its other keys are left out.

    Raises:
        InputError: it is no object, or a role is missing or cannot be read; the line is named by ``number``.
    """
    found = parse_json(line, f"{_INPUT}, line {number}", "an object", _CORRECT)
    if not isinstance(found, dict):
        raise InputError(f"{_INPUT}, line {number}: a JSON object was expected; found {type(found).__name__}.")
    return checked_row(task, found, _INPUT, f"line {number}")


def asked_rows(task: Task, inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """The roles that ``task`` reads of texts, or of mappings of its columns, checked as lines of input are.

    Raises:
        InputError: an input lacks a role, or has one that cannot be read; its number is named.
    """
    if isinstance(inputs, str | Mapping):
        what = f"one text: {inputs[:80]!r}" if isinstance(inputs, str) else "one mapping"
        raise InputError(f"inputs must be a list of them; received {what}. Write [INPUT].")
    rows = []
    for number, given in enumerate(inputs):
        place = f"[{number}]"
        if problem := plain_problem(given if isinstance(given, str) else dict(given)):
            raise InputError(f"inputs, {place}: {problem}. Correct it.")
        found = task.parse(given) if isinstance(given, str) else given
        rows.append(checked_row(task, found, "inputs", place))
    return rows


def checked_row(task: Task, found: Mapping[str, Any], origin: str, place: str) -> dict[str, Any]:
    """The roles that ``task`` reads, checked as in training; other entries are left out.

    Raises:
        InputError: a role is missing or cannot be read; ``place`` in ``origin`` is named.
    """
    missing = [role.name for role in task.roles if role.required and not role.target and role.name not in found]
    if missing:
        keys = f"one with {', '.join(list(found)[:20])}" if found else "an empty one"
        hint = nearest(missing[0], found)
        raise InputError(f"{origin}, {place}: an object with {', '.join(missing)} was expected; found {keys}.{hint}")
    table = Table(origin, {name: [value] for name, value in found.items()}, [1], files=[place])
    reading = {role.name: Reading((role.name,), frozenset(found)) for role in task.roles}
    wanted = (role for role in task.roles if not role.target and (role.required or role.name in found))
    return {role.name: role.read(table, reading[role.name])[0] for role in wanted}


def answer_lines(
    trained: Trained, engine: Engine, lines: Sequence[tuple[int, bytes]], options: Mapping[str, Any], objects: bool
) -> Iterator[tuple[int, Answer | InputError]]:
    """For each numbered line, in order, its answer or why there is none.

    Args:
        objects: whether lines are JSON objects instead of text.
    """
    rows: dict[int, dict[str, Any]] = {}
    found: dict[int, Answer | InputError] = {}
    for number, line in lines:
        try:
            rows[number] = _row(trained.task, line, number, objects)
        except InputError as error:
            found[number] = error
    found |= _answers(trained, engine, rows, options)
    yield from ((number, found[number]) for number, _ in lines)


def _row(task: Task, line: bytes, number: int, objects: bool) -> dict[str, Any]:
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{_INPUT}, line {number}: UTF-8 text was expected: {error}.") from error
    return (
        parse_object(task, text, number) if objects else checked_row(task, task.parse(text), _INPUT, f"line {number}")
    )


def _answers(
    trained: Trained, engine: Engine, rows: Mapping[int, dict[str, Any]], options: Mapping[str, Any]
) -> dict[int, Answer | InputError]:
    """All rows in one batch; where one of them cannot be encoded, each by itself."""
    if not rows:
        return {}
    try:
        answers = list(trained.task.predict(trained, engine, list(rows.values()), options))
    except InputError as error:
        if len(rows) > 1:
            return {n: _answers(trained, engine, {n: row}, options)[n] for n, row in rows.items()}
        number = next(iter(rows))
        return {number: InputError(f"{_INPUT}, line {number}: {error}")}
    return dict(zip(rows, answers, strict=True))
