"""What a run is, as a hash: its configuration, the code that runs it and what it reads. Equal runs have one directory."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from common.artifacts import adapter
from common.config import ExperimentConfig, to_plain
from common.data import BatchPlan
from common.errors import InputError
from common.methods import METHODS
from common.models.checkpoint import fingerprint
from common.reading import expanded
from common.resources import package_folder
from common.studies.points import Point
from common.training import fingerprints
from common.training.assembly import Inputs, encode_split, prepare
from common.training.schedule import total_steps

__all__ = ["Reader", "code_fingerprint", "identity"]

#: packages of ``common`` that decide nothing in a run: a study is not repeated where one of them changes
_ASIDE = (
    "api_mapping",
    "augmentation",
    "bench",
    "cli",
    "configs",
    "demo",
    "doctor.py",
    "launch",
    "memory",
    "parity",
    "porting",
    "report",
    "serving",
    "starter",
    "studies",
    "trackers",
)
_DIGITS = 16  #: of the identity of a run
_ELSEWHERE = ("directory", "files")  #: entries of the data section that say where it lies; what is read has a hash


@functools.cache
def code_fingerprint(backend: str) -> str:
    """Of every module that a run in ``backend`` may execute, in this version of the project."""
    digest = hashlib.sha256()
    for package in ("common", f"{backend}_impl"):
        folder = package_folder(package)
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder)
            if package == "common" and inside.parts[0] in _ASIDE:
                continue
            content = path.read_bytes()
            digest.update(f"{package}/{inside.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def identity(config: ExperimentConfig, backend: str, code: str, inputs: Mapping[str, Any]) -> str:
    """Of a run: 16 hexadecimal digits.

    Args:
        code: see `code_fingerprint`.
        inputs: see `Reader.fingerprint`.
    """
    plain = to_plain(config)
    plain.pop("name")  # which is the identity itself
    plain["training"].pop("trackers")  # who watches a run does not change it
    plain["data"] = {key: value for key, value in plain["data"].items() if key not in _ELSEWHERE}
    text = json.dumps([plain, backend, code, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


class Reader:
    """What the points of a study read. Points that share data and model have it read once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[dict[str, Any], int, Inputs]] = {}

    def fingerprint(self, config: ExperimentConfig) -> dict[str, Any]:
        """Hashes of data, base model and tokenizer.

        Raises:
            InputError: something cannot be read, or does not fit together.
        """
        return self._read(config)[0]

    def steps(self, config: ExperimentConfig) -> int:
        """Optimizer steps at most. Raises as `fingerprint`."""
        _, examples, _ = self._read(config)
        size = config.training.global_batch_size
        return total_steps(config.training, -(-examples // size))

    def has_test(self, config: ExperimentConfig) -> bool:
        """Whether there is a test split with targets. Raises as `fingerprint`."""
        data = self._read(config)[2].data
        return "test" in data.splits and "test" not in data.unlabelled

    def check(self, point: Point) -> None:
        """Resolve the plan of a point.

        Raises:
            InputError: its targets do not fit the model, or anything else that training would refuse first.
        """
        inputs = self._read(point.config)[2]
        try:
            METHODS.get(point.config.adaptation.method).plan(point.config.adaptation, inputs.spec)
        except InputError as error:
            raise InputError(f"The point {point.describe()}: {error}") from error

    def _read(self, config: ExperimentConfig) -> tuple[dict[str, Any], int, Inputs]:
        key = _reading(config)
        if key not in self._known:
            inputs = prepare(config)
            plan = BatchPlan(encode_split(inputs, "train"), 1, None, 1, config.seed)
            found = fingerprints.of_inputs(inputs)
            if config.model.adapter is not None:
                found["adapter"] = _adapter(config.model.adapter)
            self._known[key] = found, plan.steps_per_epoch, inputs
        return self._known[key]


def _adapter(source: str) -> str:
    """Hash of the adapter that a training begins from.

    Raises:
        InputError: it cannot be read.
    """
    _, arrays, _ = adapter.read_adapter(expanded(source))
    return fingerprint(arrays)


def _reading(config: ExperimentConfig) -> str:
    """The part of a configuration that decides what is read; start values of a new model depend on the seed."""
    seed = config.seed if config.model.source is None else None
    sections = [dataclasses.asdict(config.model), dataclasses.asdict(config.data), seed, config.training.metric]
    return json.dumps(sections, sort_keys=True, default=str)
