"""Opening whatever answers: a run directory, an exported model, an adapter folder, or a model folder such as
``twinlora merge`` writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from common import backend as backends
from common.artifacts import storage
from common.config import from_yaml
from common.data import load_tokenizer
from common.errors import InputError
from common.exporting import is_export, open_export
from common.methods import METHODS
from common.models.checkpoint import locate, read_config
from common.models.structure import split_entries
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


def open_model_folder(folder: Path, task_name: str | None = None) -> Trained:
    """A checkpoint with its tokenizer, as a run of which every parameter is trained. Nothing says how long its texts
    were, nor whether they were pairs: texts are read up to 512 tokens or the model's positions, which is said.

    Args:
        task_name: which head it has; by default the one that its config.json names.

    Raises:
        InputError: the task cannot be determined, or a parameter of the head is missing.
    """
    source = str(folder)
    given, _ = split_entries(read_config(locate(source)))
    task = task_of(source, given, task_name)
    tokens = longest_text(given, 0)
    sections = {
        "name": "model",
        "model": {"source": source, "task": task.name},
        "data": {"name": "files", "files": {"train": "none"}, "max_length": tokens},
        "adaptation": {"method": next(one.name for one in METHODS if storage(one.artifact).WHOLE)},
        "training": {"global_batch_size": 1},
    }
    config = from_yaml(json.dumps(sections), f"{folder}/config.json")
    tokenizer = load_tokenizer(source)
    labels = None if task.example_labels() is None else classes_of(given)
    spec, plan = describe(config, labels, tokenizer)
    if spec.new_parameters:
        raise InputError(
            f"{folder} lacks {', '.join(spec.new_parameters[:3])}, so that it answers nothing for {task.name}. Give a "
            "folder with a trained head, such as twinlora merge writes."
        )
    notice(f"{folder} says nothing of the texts that it was trained on; they are read up to {tokens} tokens.")
    backend = next(name for name, there in backends.available().items() if there)
    summary = {"status": "finished", "backend": backend, "data": {"labels": labels, "columns": []}}
    arrays = {name: spec.arrays[name] for name in plan.shapes()}
    return Trained(RunDirectory(Path(folder)), config, summary, tokenizer, spec, plan, arrays)
