"""Opening an adapter folder that no run of ours surrounds, such as PEFT writes: what it leaves unsaid is read off its
base model."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import backend as backends
from common.artifacts.adapter import FOLDER, PREFIX, load, read_adapter
from common.config import ExperimentConfig, adaptation_options, from_yaml, load_config
from common.data import DATASETS, load_tokenizer
from common.data.loading import roles_of
from common.errors import InputError
from common.methods import METHODS
from common.methods.peft.format import CONFIG_NAME
from common.models import FAMILIES
from common.models.checkpoint import locate, read_config
from common.models.structure import split_entries
from common.reading import expanded
from common.tasks import TASKS, configured
from common.terminal import notice
from common.training.assembly import POSITIONS, Inputs, Trained, describe
from common.training.opening import classes_of
from common.training.rundir import RunDirectory

__all__ = ["is_adapter", "longest_text", "open_adapter", "start"]

_OUTPUTS = ("out_proj.weight", "classifier.weight", "score.weight")  #: of the heads that give one number a class
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model")
_LONGEST = 512  #: tokens of a text, unless a configuration says otherwise or the model has fewer positions


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and is no run directory."""
    return os.path.isfile(Path(folder) / CONFIG_NAME) and not os.path.isfile(RunDirectory(Path(folder)).config)


def open_adapter(
    folder: Path, experiment: str | None = None, source: str | None = None, data_dir: str | None = None
) -> Trained:
    """An adapter with the model that it belongs to.

    Args:
        experiment: configuration that says task, data and lengths; by default the task is PEFT's ``task_type``.
        source: the base model; by default ``base_model_name_or_path``.
        data_dir: folder of the experiment's data.

    Raises:
        InputError: a file is wrong, the base model or the task cannot be determined, or adapter and model do not fit.
    """
    settings, tensors, _ = read_adapter(folder)
    base = source or settings.get("base_model_name_or_path")
    if not base:
        raise InputError(f"{folder}/{CONFIG_NAME} names no base model. Name it with --model SOURCE.")
    tensors = {key.removeprefix(PREFIX): array for key, array in tensors.items()}
    given, _ = split_entries(read_config(locate(base)))
    config = _configuration(folder, settings, tensors, base, given, experiment, data_dir)
    task = configured(config.model)
    tokenizer = load_tokenizer(config.model.tokenizer or base, added=config.model.add_tokens)
    labels = None if task.example_labels() is None else _classes_beside(folder) or _labels(config, tensors, given)
    spec, plan = describe(config, labels, tokenizer)
    arrays = load(folder, plan, spec)
    columns = list(roles_of(config.data, task)) if experiment else [role.name for role in task.roles if role.required]
    backend = next(name for name, there in backends.available().items() if there)
    summary = {"status": "finished", "backend": backend, "data": {"labels": labels, "columns": columns}}
    return Trained(RunDirectory(Path(folder)), config, summary, tokenizer, spec, plan, arrays)


def start(folder: str, inputs: Inputs) -> dict[str, np.ndarray]:
    """The arrays of an adapter of the plan of ``inputs``, to begin a training from.

    Raises:
        InputError: the method trains no adapter, adapter and plan do not agree, or the adapter stands in a run whose
            classes are the same in another order.
    """
    if inputs.plan.artifact != FOLDER:
        raise InputError(
            f"model.adapter is where the training of an adapter begins, and adaptation.method {inputs.plan.method} trains the whole "
            "model. Merge the adapter first: twinlora merge ADAPTER OUT, and then --model OUT."
        )
    before, now = _classes_beside(expanded(folder)), inputs.data.label_names
    if before and now and before != tuple(now) and set(before) == set(now):
        raise InputError(
            f"A head is taken by the index of its classes, so that these must stand in one order; those of {folder} are "
            f"{', '.join(before)}, and the data's {', '.join(now)}. Set data.label_names: [{', '.join(before)}]."
        )
    return load(expanded(folder), inputs.plan, inputs.spec)


def _classes_beside(folder: Path) -> tuple[str, ...] | None:
    """Names of the classes, by the run whose best state ``folder`` is; None where it is of no run, or of no classes."""
    run = RunDirectory(Path(os.path.abspath(folder)).parent)
    if run.best(FOLDER) != Path(os.path.abspath(folder)) or not run.config.is_file():
        return None
    summary = run.read_summary() or {}
    return tuple(map(str, summary.get("data", {}).get("labels") or ())) or None


def _configuration(
    folder: Path,
    settings: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    base: str,
    given: Mapping[str, Any],
    experiment: str | None,
    data_dir: str | None,
) -> ExperimentConfig:
    """The experiment with the adapter's model and plan; without one, an experiment that has no data."""
    tokenizer = str(folder) if any((Path(folder) / name).is_file() for name in _TOKENIZERS) else None
    method = _method(folder, settings, tensors)
    if experiment is not None:
        overrides = [f"data.directory={json.dumps(os.path.abspath(data_dir))}"] if data_dir else []
        config = load_config(experiment, overrides)
        model = dataclasses.replace(config.model, source=base, tokenizer=config.model.tokenizer or tokenizer, config={})
        return dataclasses.replace(config, model=model, adaptation=adaptation_options(method))
    sections = {
        "name": "adapter",
        "model": {"source": base, "task": _task(folder, settings, given), "tokenizer": tokenizer},
        "data": {
            "name": "files",
            "files": {"train": "none"},
            "max_length": longest_text(given, adaptation_options(method).prepended),
        },
        "adaptation": method,
        "training": {"global_batch_size": 1},
    }
    return from_yaml(json.dumps(sections), f"{folder}/{CONFIG_NAME}")


def _method(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The section ``adaptation`` that plans what the file holds."""
    shapes = {key: array.shape for key, array in tensors.items()}
    sections = (METHODS.get(name).section(settings, shapes) for name in METHODS.names())
    found = next((section for section in sections if section is not None), None)
    if found is None:
        kind = settings.get("peft_type") or settings.get("twinlora_method")
        raise InputError(
            f"Adapters that are opened by themselves are those that a method here reads from PEFT's format; {folder} holds {kind}. "
            "Open the run that it was trained in, or convert it with PEFT."
        )
    return found


def _task(folder: Path, settings: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    kind = settings.get("task_type")
    fitting = [task for task in TASKS if kind is not None and task.peft_type == kind and task.assumed]
    if len(fitting) > 1:  # one head, several losses: the base model may say which
        problem = given.get("problem_type")
        told = [task for task in fitting if problem and task.entries(("a", "b")).get("problem_type") == problem]
        fitting = told or [task for task in fitting if "problem_type" not in task.entries(("a", "b"))]
    if len(fitting) != 1:
        raise InputError(
            f"{folder}/{CONFIG_NAME} has the task_type {kind!r}, which tells no task of {', '.join(TASKS.names())}. Give an "
            "experiment with --config, which says model.task."
        )
    return fitting[0].name


def longest_text(given: Mapping[str, Any], prepended: int) -> int:
    """Tokens of a text that fit, after ``prepended`` virtual ones, into the model of a ``config.json``; 512 at most."""
    if given["model_type"] in FAMILIES:
        family = FAMILIES.get(given["model_type"])
        positions = family.positions({**family.DEFAULTS, **given})
    else:
        positions = next((given[key] for key in POSITIONS if isinstance(given.get(key), int)), None)
    return _LONGEST if not positions else min(_LONGEST, max(positions - prepended, 1))


def _labels(config: ExperimentConfig, tensors: Mapping[str, np.ndarray], given: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the classes. PEFT's files hold none, so that they are taken by index, which is said."""
    rows = next(
        (len(tensors[key]) for end in _OUTPUTS for key in sorted(tensors) if key.endswith(end) and ".lora_" not in key),
        None,
    )
    entry = DATASETS.get(config.data.name)
    published = config.data.label_names or (entry.label_names if entry else None)
    stored = classes_of(given) if given.get("id2label") else ()
    for names in (published, stored):
        if names and rows in (None, len(names)):
            notice(f"An adapter holds no names of classes; by their index they are {', '.join(names)}.")
            return tuple(names)
    if published:
        raise InputError(
            f"The adapter's head gives {rows} classes and {config.data.name} has {len(published)}: {', '.join(published)}. "
            "Give the data that it was trained on."
        )
    return tuple(f"LABEL_{index}" for index in range(rows or 2))
