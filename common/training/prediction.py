"""Answers of a trained run to new text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.backend import Engine
from common.data import TextData, encode
from common.data.readers import Table
from common.data.roles import Reading
from common.errors import InputError
from common.tasks import Task
from common.tasks.language_modeling import encode_prompts
from common.training.assembly import Trained
from common.training.evaluation import results
from common.training.generation import Sampling, generate

__all__ = ["continuations", "outputs_of", "parse_object"]


def outputs_of(trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, np.ndarray]]:
    """The task's outputs for each row of roles, tokenised and truncated as in training."""
    from datasets import Dataset

    data = TextData({"input": Dataset.from_list([dict(row) for row in rows])}, trained.labels, frozenset({"input"}))
    settings = trained.config.data
    encoded = encode(data, "input", trained.tokenizer, settings, trained.task, trained.spec.schema)
    size = trained.config.training.evaluation_batch_size
    found: list[dict[str, np.ndarray]] = [{} for _ in rows]
    for indices, _, result in results(engine, encoded, size, settings.length_multiple):
        for row, index in enumerate(indices):
            found[index] = {name: output[row] for name, output in result.outputs.items()}
    return found


def parse_object(task: Task, line: str, number: int) -> dict[str, Any]:
    """The roles that ``task`` reads of a line that holds a JSON object; its other keys are left out.

    Raises:
        InputError: it is no object, or a role is missing or cannot be read; the line is named by ``number``.
    """
    where = f"standard input, line {number}"
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: a JSON object was expected; {error}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{where}: a JSON object was expected; found {type(found).__name__}.")
    table = Table("standard input", {name: [value] for name, value in found.items()}, [number])
    reading = {role.name: Reading((role.name,), frozenset(found)) for role in task.roles}
    wanted = (role for role in task.roles if not role.target and (role.required or role.name in found))
    return {role.name: role.read(table, reading[role.name])[0] for role in wanted}


def continuations(trained: Trained, engine: Engine, prompts: Sequence[str], sampling: Sampling) -> list[str]:
    """The continuation of every prompt, which is written as in training: with the separator where the data were prompt
    and text."""
    tokenizer, data = trained.tokenizer, trained.config.data
    if "prompt" in trained.summary["data"]["columns"]:
        ids = encode_prompts(prompts, tokenizer)
    else:
        ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    generated = generate(engine, ids, tokenizer.eos_token_id, data.max_length, data.length_multiple, sampling)
    return [tokenizer.decode(tokens) for tokens in generated]
