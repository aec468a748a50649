"""What the demonstration does inside a framework. Each function runs in a process of its own, so that neither
framework's threads, memory or settings touch the other's figures, and returns NumPy arrays and plain data."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import RunError

__all__ = [
    "PROMPTS",
    "Adapted",
    "PeftLogits",
    "adapt",
    "held_out_batch",
    "in_process",
    "peft_logits",
    "peft_missing",
    "train_base",
]

PROMPTS = ("If a class defines", "The value of the expression", "A function call")


@dataclass(frozen=True)
class Adapted:
    """What one backend made of the same start."""

    samples: tuple[str, ...]  #: continuation of each prompt
    logits: np.ndarray  #: (rows, vocabulary) float32, after the last token of each row of the held-out batch


@dataclass(frozen=True)
class PeftLogits:
    """PEFT's next-token logits with the adapter, and without it, for the held-out batch; each (rows, vocabulary)
    float32."""

    adapted: np.ndarray
    base: np.ndarray
    version: str


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``function`` in a fresh Python process and return its result; its errors are raised here.

    Raises:
        RunError: the process was killed.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise RunError(
                f"The process that ran {function.__name__} was killed. The machine may have too little memory; close other programs."
            ) from error


def train_base(config: Path, backend: str, output: Path) -> tuple[str, ...]:
    """Train the base model and return its continuation of every prompt."""
    from common.config import load_config
    from common.training.run import train

    train(load_config(config), backend, output=output, overwrite=True)
    trained, engine = _open(output / "base" / backend)
    return _samples(trained, engine)


def adapt(config: Path, backend: str, output: Path) -> Adapted:
    """Adapt the base model with LoRA and return its continuations and held-out logits."""
    from common.config import load_config
    from common.training.run import train

    train(load_config(config), backend, output=output, overwrite=True)
    trained, engine = _open(output / "adapted" / backend)
    batch, last = held_out_batch(trained.config, trained.tokenizer)
    return Adapted(_samples(trained, engine), engine.logits_at(batch, last))


def peft_missing() -> list[str]:
    """Packages that the check with PEFT needs and that are not installed."""
    return [name for name in ("torch", "peft") if importlib.util.find_spec(name) is None]


def peft_logits(run: Path) -> PeftLogits:
    """Have PEFT load the adapter of ``run`` into the base model that ``transformers`` loads, and compute the held-out
    logits."""
    from common import backend
    from common.methods import METHODS
    from common.training.rundir import RunDirectory

    directory = RunDirectory(run)
    config = directory.read_config()
    batch, last = held_out_batch(config, _tokenizer(directory))
    adapter = directory.best(METHODS.get(config.adaptation.method).artifact)
    return PeftLogits(*backend.load("pytorch").hf_bridge.peft.peft_logits(config.model.source, adapter, batch, last))


def held_out_batch(config: Any, tokenizer: Any) -> tuple[Any, np.ndarray]:
    """The first evaluation batch of the validation split, and the last real position of each of its rows ``(rows,)``
    int32."""
    from common.data import encode, evaluation_batches, load_dataset
    from common.models import FAMILIES
    from common.models.checkpoint import locate, read_config
    from common.tasks import TASKS

    task = TASKS.get(config.model.task)
    schema = task.schema(FAMILIES.get(read_config(locate(config.model.source))["model_type"]))
    encoded = encode(load_dataset(config.data, task), "validation", tokenizer, config.data, task, schema)
    _, batch = next(
        iter(evaluation_batches(encoded, config.training.evaluation_batch_size, config.data.length_multiple))
    )
    return batch, (batch["attention_mask"].sum(axis=1) - 1).astype(np.int32)


def _open(run: Path) -> tuple[Any, Any]:
    from common.training.assembly import load_engine, open_trained
    from common.training.rundir import RunDirectory

    trained = open_trained(RunDirectory(run))
    return trained, load_engine(trained)


def _tokenizer(directory: Any) -> Any:
    from common.data import load_tokenizer

    return load_tokenizer(str(directory.tokenizer))


def _samples(trained: Any, engine: Any) -> tuple[str, ...]:
    from common.generation import GenerationOptions, generate

    options = GenerationOptions(max_new_tokens=40, temperature=0.5, seed=7)
    return tuple(found.text for [found] in generate(trained, engine, PROMPTS, options))
