"""The folder of an exported model: ``model.onnx``, the tokenizer, ``config.json`` and ``config.yaml`` of the run, and
``export.json``, which says what the graph takes and gives and how it was checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.config import ExperimentConfig, from_yaml, to_yaml
from common.data import load_tokenizer, save_tokenizer
from common.errors import InputError
from common.files import write_atomic, write_json
from common.methods.plan import Plan
from common.models import FAMILIES
from common.models.specs import ModelSpec
from common.reading import read_json, read_text
from common.tasks import TASKS
from common.training.assembly import Trained
from common.training.rundir import RunDirectory

__all__ = ["MANIFEST", "MODEL", "describe", "digest_of", "is_export", "open_export", "write_beside"]

MANIFEST = "export.json"
MODEL = "model.onnx"
_BLOCK = 2**20  #: bytes that are hashed at a time
_REMEDY = "Export the run again with twinlora export."
_SHAPE = {
    "format": str,
    "family": str,
    "task": str,
    "inputs": [str],
    "output": str,
    "labels": (None, [str]),
    "columns": [str],
    "files": {...: str},
    "tokens": int,
}


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported model."""
    return os.path.isfile(Path(folder) / MANIFEST)


def describe(trained: Trained) -> dict[str, Any]:
    """What the manifest says of a run before its graph is written."""
    spec = trained.spec
    return {
        "format": "onnx",
        "family": spec.family,
        "task": spec.task,
        "inputs": [field.name for field in FAMILIES.get(spec.family).INPUTS],
        "output": "logits",
        "labels": list(trained.labels) if trained.labels else None,
        "columns": list(trained.summary["data"]["columns"]),
        "tokens": trained.config.data.max_length,
    }


def write_beside(folder: Path, trained: Trained, manifest: Mapping[str, Any]) -> None:
    """Everything but the graph, which is there; its bytes are recorded."""
    config = {key: value for key, value in sorted(trained.spec.config.items()) if key != "num_labels"}
    write_json(folder / "config.json", config)
    write_atomic(folder / "config.yaml", to_yaml(trained.config))
    save_tokenizer(trained.tokenizer, folder)
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith(MODEL))
    write_json(folder / MANIFEST, {**manifest, "files": {name: _digest(folder / name) for name in names}})


def digest_of(folder: Path) -> str:
    """Of the graph and its weights, as the manifest has it; `open_export` compares."""
    manifest = read_json(Path(folder) / MANIFEST, "the manifest of an exported model", _REMEDY, _SHAPE)
    return " ".join(manifest["files"][name] for name in sorted(manifest["files"]))


def open_export(folder: Path) -> Trained:
    """Read an exported model back: the run's configuration, tokenizer and classes, and no arrays.

    Raises:
        InputError: a file is missing, damaged or not what was exported.
    """
    folder = Path(folder)
    manifest = read_json(folder / MANIFEST, "the manifest of an exported model", _REMEDY, _SHAPE)
    if manifest["format"] != "onnx":
        raise InputError(f"{folder / MANIFEST} must have the format onnx; received {manifest['format']!r}. {_REMEDY}")
    for name, digest in manifest["files"].items():
        path = folder / Path(name).name
        if not path.is_file():
            raise InputError(f"{path} is missing. {_REMEDY}")
        if _digest(path) != digest:
            raise InputError(f"{path} was damaged or replaced: its sha256 is not the one in {MANIFEST}. {_REMEDY}")
    text = read_text(folder / "config.yaml", "the configuration of an exported model", _REMEDY)
    return _trained(folder, manifest, from_yaml(text, str(folder / "config.yaml")))


def _trained(folder: Path, manifest: Mapping[str, Any], config: ExperimentConfig) -> Trained:
    if manifest["family"] not in FAMILIES or manifest["task"] not in TASKS:
        raise InputError(
            f"{folder} is a {manifest['family']} for {manifest['task']}, of which this version of twinlora has no description."
        )
    family, task = FAMILIES.get(manifest["family"]), TASKS.get(manifest["task"])
    given = read_json(folder / "config.json", "the configuration of an exported model", _REMEDY, dict)
    labels = manifest["labels"]
    spec = ModelSpec(
        family.name, task.name, {**given, "num_labels": len(labels or ())}, (), (), {}, task.schema(family)
    )
    summary = {"status": "finished", "backend": "onnx", "data": {"labels": labels, "columns": manifest["columns"]}}
    plan = Plan(config.adaptation.method, (), (), (), "")
    return Trained(RunDirectory(folder), config, summary, load_tokenizer(str(folder)), spec, plan, {})


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
