"""Texts for the inputs of a data set, with the references that belong to each."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.backend import Engine
from common.errors import InputError
from common.generation.options import GenerationOptions
from common.generation.texts import generate

if TYPE_CHECKING:
    from common.training.assembly import Trained

__all__ = ["generate_split", "inputs_of"]


def inputs_of(
    trained: Trained, split: str, directory: str | Path | None = None, limit: int | None = None
) -> dict[str, list[str]]:
    """Every different prompt of a split in the order of its first row, with the texts of all its rows.

    Args:
        directory: folder of the data set; None: where the run found it.
        limit: the first prompts alone.

    Raises:
        InputError: the split does not exist, or its rows are not prompt and text.
    """
    from common.data import load_dataset
    from common.reading import expanded

    found = str(expanded(directory).resolve()) if directory else trained.config.data.directory
    data = load_dataset(dataclasses.replace(trained.config.data, directory=found), trained.task)
    if split not in data.splits:
        raise InputError(f"There is no {split} split; the data set has {', '.join(data.splits)}.")
    rows = data.splits[split]
    if not {"prompt", "text"} <= set(rows.column_names):
        raise InputError(
            f"Texts are written for the prompts of a split; that of {trained.config.data.name} has "
            f"{', '.join(rows.column_names)}. Give prompts with --prompt or --file."
        )
    groups: dict[str, list[str]] = {}
    for prompt, text in zip(trained.task.asked(rows), rows["text"], strict=True):
        groups.setdefault(prompt, []).append(text)
    return dict(list(groups.items())[:limit])


def generate_split(
    trained: Trained,
    engine: Engine,
    inputs: dict[str, list[str]],
    options: GenerationOptions,
    batch_size: int | None = None,
) -> Iterator[dict[str, Any]]:
    """One record for each input: ``prompt``, ``references``, ``text``, ``tokens``, ``finish``, and ``seconds``, which is
    the time of a whole batch for its first input and hardly any for the others.

    Raises:
        InputError: several texts are asked for, or a prompt does not fit into the context.
    """
    if options.num_return_sequences != 1:
        raise InputError(
            f"One text for each input is scored; num_return_sequences is {options.num_return_sequences}. Leave it out."
        )
    start = time.perf_counter()
    for [found], references in zip(
        generate(trained, engine, list(inputs), options, batch_size=batch_size), inputs.values(), strict=True
    ):
        now = time.perf_counter()
        yield {**found.record(), "references": references, "seconds": now - start}
        start = now
