"""Teachers: whatever gives logits for the texts of a training split. A run in either backend, a model folder, an
exported graph, or a file of logits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend import Batch
from common.backend.capabilities import check_model
from common.backend.distillation import Distillation
from common.config import to_plain
from common.data import TextData
from common.errors import InputError
from common.exporting import digest_of, is_export, open_export
from common.files import load_arrays, save_arrays
from common.methods.merge import merged_model
from common.models import FAMILIES
from common.models.checkpoint import fingerprint
from common.models.specs import ModelSpec
from common.models.structure import entries
from common.reading import expanded, parse_json
from common.training import fingerprints
from common.training.assembly import Trained, build_engine, open_trained, positions_of
from common.training.opening import open_model
from common.training.rundir import RunDirectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Teacher", "open_source", "reader", "write_logits"]

SUFFIX = ".safetensors"  #: of a file of logits
_REMEDY = "Write it again."
_LABELS, _TEXTS = "labels", "texts"


@dataclass(frozen=True)
class Teacher:
    """What answers, before a network is built."""

    source: str
    labels: tuple[str, ...]
    fingerprint: str  #: of everything that its answers depend on
    tokenizer: PreTrainedTokenizerFast | None = None  #: None for a file
    spec: ModelSpec | None = None  #: None for a file; without arrays for an exported graph
    trained: Trained | None = None  #: of a run or an exported graph
    logits: np.ndarray | None = None  #: of a file, ``(examples, classes)``
    texts: str = ""  #: of a file: hash of the split that it was written for

    @property
    def exported(self) -> bool:
        """Whether it is a graph, which gives nothing but logits."""
        return self.trained is not None and is_export(self.trained.run.path)

    @property
    def positions(self) -> int | None:
        """Tokens that it takes."""
        return None if self.spec is None else positions_of(self.spec)

    def merged(self) -> ModelSpec:
        """The model with plain weights.

        Raises:
            InputError: its adapters have no merged form.
        """
        assert self.spec is not None  # asked of networks alone
        if self.trained is None:
            return self.spec
        return merged_model(self.trained.plan, self.trained.spec, self.trained.arrays)[0]


def open_source(source: str, task: str) -> Teacher:
    """The teacher at ``source``.

    Args:
        source: a run directory, an exported model, a model folder or hub id, or a file that `write_logits` wrote.
        task: of the student, which a run or a graph must have too.

    Raises:
        InputError: there is none, or it is of another task.
    """
    found = expanded(source)
    if found.suffix == SUFFIX:
        return _of_file(found)
    if is_export(found) or RunDirectory(found).config.is_file():
        trained = open_export(found) if is_export(found) else open_trained(RunDirectory(found))
        if trained.task.name != task:
            raise InputError(f"{source} was trained for {trained.task.name}, and the student is for {task}.")
        return _of(Teacher(source, trained.labels or (), "", trained.tokenizer, trained.spec, trained))
    opened = open_model(found if found.exists() else source, task)
    labels = tuple(map(str, opened.spec.config.get("id2label", {}).values()))
    return _of(Teacher(source, labels, "", opened.tokenizer, opened.spec))


def _of(network: Teacher) -> Teacher:
    """``network`` with its fingerprint: of its weights, its structure, its classes and how it reads a text."""
    spec, trained = network.spec, network.trained
    assert spec is not None
    assert network.tokenizer is not None
    parts: list[Any] = [network.labels, fingerprints.of_tokenizer(network.tokenizer)]
    parts += [fingerprints.of_base(spec), entries(spec)]
    if trained is not None:
        plain = to_plain(trained.config)
        parts += [plain["adaptation"], plain["model"]["quantize"], plain["data"]["max_length"]]
        parts.append(digest_of(trained.run.path) if network.exported else fingerprint(trained.arrays))
    return dataclasses.replace(network, fingerprint=fingerprints.hashed(json.dumps(parts, sort_keys=True, default=str)))


def _of_file(path: Path) -> Teacher:
    arrays, metadata = load_arrays(path)
    if set(arrays) != {"logits"} or arrays["logits"].ndim != 2 or {_LABELS, _TEXTS} - metadata.keys():
        raise InputError(
            f"{path} must hold logits (examples, classes) and say its labels and texts, as "
            "common.training.teachers.write_logits writes them."
        )
    labels = parse_json(metadata[_LABELS], f"{path}", "the classes of a file of logits", _REMEDY, [str])
    if len(labels) != arrays["logits"].shape[1]:
        raise InputError(f"{path} names {len(labels)} classes for {arrays['logits'].shape[1]} columns. {_REMEDY}")
    logits = np.asarray(arrays["logits"], np.float32)
    if not np.isfinite(logits).all():
        raise InputError(f"{path} must hold finite logits; some are NaN or infinite in float32. {_REMEDY}")
    hashed = fingerprints.hashed(json.dumps([labels, fingerprint(arrays)]))
    return Teacher(str(path), tuple(labels), hashed, logits=logits, texts=metadata[_TEXTS])


def write_logits(path: Path, logits: np.ndarray, data: TextData) -> None:
    """Write logits of the training split of ``data``, ``(examples, classes)``, as a teacher of it.

    Raises:
        InputError: there is not one row for each example and one column for each class, or one is not finite.
    """
    wanted = (len(data.splits["train"]), len(data.label_names or ()))
    if logits.shape != wanted or not np.isfinite(logits).all():
        raise InputError(f"Logits must be finite and of the shape {wanted}; received {logits.shape}.")
    about = {_LABELS: json.dumps(list(data.label_names or ())), _TEXTS: fingerprints.of_data(data)["train"]}
    save_arrays(path, {"logits": np.asarray(logits, np.float32)}, about)


def reader(
    teacher: Teacher, states: bool, backend: ModuleType, device: str
) -> Callable[[Batch], Mapping[str, np.ndarray]]:
    """What computes, from batches of the teacher's schema, ``logits`` ``(batch, classes)``, and where ``states`` are
    wanted ``hidden/NN`` ``(batch, seq, width)``. In fp32 and without dropout.

    Args:
        backend: that a network is computed in; a graph is computed by ONNX Runtime.

    Raises:
        InputError: the backend cannot compute the network on the device.
    """
    if teacher.exported:
        from common.exporting.runtime import OnnxEngine

        assert teacher.trained is not None  # or it were no graph
        graph = OnnxEngine(teacher.trained)
        return lambda batch: graph.eval_step(batch).outputs
    spec = teacher.spec
    assert spec is not None  # files are not read in batches
    model: Any
    if teacher.trained is None:
        check_model(backend, device, spec)
        model = backend.build_model(spec, device)
    else:
        engine = build_engine(backend, device, _plain(teacher.trained), spec, teacher.trained.plan)
        engine.load_trainable(teacher.trained.arrays)
        if not states:
            return lambda batch: engine.eval_step(batch).outputs
        model = engine.model
    forward = import_module(f"{backend.__name__}.parity").forward
    names = [field.name for field in FAMILIES.get(spec.family).INPUTS]
    return lambda batch: forward(model, {name: batch[name] for name in names})


def _plain(trained: Trained) -> Any:
    config = trained.config
    training = dataclasses.replace(config.training, dtype="fp32", shard=False)
    return dataclasses.replace(config, training=training, distillation=Distillation())
