"""Opening whatever answers: a run directory, an exported model, an adapter folder, or a model folder such as
``twinlora merge`` writes."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import backend as backends
from common.artifacts import storage
from common.backend.distillation import Distillation
from common.config import ExperimentConfig, adaptation_options, from_yaml, load_config
from common.config.schema import ModelConfig
from common.data import DATASETS, load_tokenizer
from common.data.loading import roles_of
from common.errors import InputError
from common.exporting import is_export, open_export
from common.methods import METHODS
from common.models.checkpoint import locate, read_config
from common.models.structure import split_entries
from common.reading import expanded
from common.tasks import configured
from common.terminal import notice
from common.training.adapters import is_adapter, longest_text, open_adapter
from common.training.assembly import Trained, describe, open_trained
from common.training.opening import classes_of, task_of
from common.training.rundir import RunDirectory

__all__ = ["is_model_folder", "open_artifact", "open_model_folder"]


def open_artifact(path: Path) -> Trained:
    """Any of them.

    Raises:
        InputError: it is none, or damaged.
    """
    if is_export(path):
        return open_export(path)
    if is_adapter(path):
        return open_adapter(path)
    if is_model_folder(path):
        return open_model_folder(path)
    return open_trained(RunDirectory(path))


def is_model_folder(path: Path) -> bool:
    """Whether a folder holds a Hugging Face checkpoint and is no run directory."""
    return os.path.isfile(Path(path) / "config.json") and not os.path.isfile(RunDirectory(Path(path)).config)


def open_model_folder(
    folder: Path, task_name: str | None = None, experiment: str | None = None, data_dir: str | None = None
) -> Trained:
    """A checkpoint with its tokenizer, as a run of which every parameter is trained. Without an experiment nothing says
    how long its texts were, nor whether they were pairs: texts are read up to 512 tokens or the model's positions, which is said.

    Args:
        task_name: which head it has; by default the one that its config.json names.
        experiment: configuration that says task, data and lengths.
        data_dir: folder of the experiment's data.

    Raises:
        InputError: the task cannot be determined, or a parameter of the head is missing.
    """
    source = str(folder)
    given, _ = split_entries(read_config(locate(source)))
    config = (
        _with_data(source, experiment, data_dir)
        if experiment is not None
        else _without_data(source, given, task_of(source, given, task_name).name)
    )
    task, tokenizer = configured(config.model), load_tokenizer(source)
    labels = None if task.example_labels() is None else _classes(config, classes_of(given))
    spec, plan = describe(config, labels, tokenizer)
    if spec.new_parameters:
        raise InputError(
            f"{folder} lacks {', '.join(spec.new_parameters[:3])}, so that it answers nothing for {task.name}. Give a "
            "folder with a trained head, such as twinlora merge writes."
        )
    if experiment is None:
        tokens = config.data.max_length
        notice(f"{folder} says nothing of the texts that it was trained on; they are read up to {tokens} tokens.")
    backend = next(name for name, there in backends.available().items() if there)
    columns = list(roles_of(config.data, task)) if experiment else []
    summary = {"status": "finished", "backend": backend, "data": {"labels": labels, "columns": columns}}
    arrays = {name: spec.arrays[name] for name in plan.shapes()}
    return Trained(RunDirectory(Path(folder)), config, summary, tokenizer, spec, plan, arrays)


def _without_data(source: str, given: Mapping[str, Any], task: str) -> ExperimentConfig:
    sections = {
        "name": "model",
        "model": {"source": source, "task": task},
        "data": {"name": "files", "files": {"train": "none"}, "max_length": longest_text(given, 0)},
        "adaptation": {"method": _whole()},
        "training": {"global_batch_size": 1},
    }
    return from_yaml(json.dumps(sections), f"{source}/config.json")


def _with_data(source: str, experiment: str, data_dir: str | None) -> ExperimentConfig:
    """The experiment, its model the folder as it is: of the model that it names nothing but the task is left."""
    overrides = [f"data.directory={json.dumps(os.path.abspath(expanded(data_dir)))}"] if data_dir else []
    config = load_config(experiment, overrides)
    model = ModelConfig(source, config.model.task, None, None, {}, config.model.task_options)
    return dataclasses.replace(
        config, model=model, adaptation=adaptation_options({"method": _whole()}), distillation=Distillation()
    )


def _whole() -> str:
    """The method of which every parameter of a checkpoint is trained."""
    return next(one.name for one in METHODS if storage(one.artifact).WHOLE)


def _classes(config: ExperimentConfig, own: tuple[str, ...]) -> tuple[str, ...]:
    """In the order of the data, where that is published and the classes are the same."""
    entry = DATASETS.get(config.data.name)
    published = config.data.label_names or (entry.label_names if entry else None) or own
    return tuple(published) if set(published) == set(own) else own
