"""What a run is, as a hash: its configuration, the code that runs it and what it reads. Equal runs have one directory."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from common.config import ExperimentConfig, to_plain
from common.data import BatchPlan
from common.errors import InputError
from common.methods import METHODS
from common.resources import code_hash
from common.studies.points import Point
from common.training import fingerprints, meta, teaching
from common.training.assembly import Inputs, encode_split, prepare
from common.training.schedule import total_steps
from common.training.teachers import Teacher

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
def code_fingerprint(backend: str, aside: tuple[str, ...] = _ASIDE) -> str:
    """Of every module that a run in ``backend`` may execute, in this version of the project and of plugins.

    Args:
        aside: packages and modules of ``common`` that are left out; by default those that decide nothing in a run.
    """

    def left_out(package: str, path: str) -> bool:
        return package == "common" and path.partition("/")[0] in aside

    return code_hash(("common", f"{backend}_impl"), left_out)


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
        self._teachers: dict[str, Teacher] = {}
        self._texts: dict[str, str] = {}

    def fingerprint(self, config: ExperimentConfig) -> dict[str, Any]:
        """Hashes of data, base model and tokenizer, and of a teacher, texts without labels or an adapter.

        Raises:
            InputError: something cannot be read, or does not fit together.
        """
        return {**self._read(config)[0], **self._told(config)}

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
        config, inputs = point.config, self._read(point.config)[2]
        try:
            plan = METHODS.get(config.adaptation.method).plan(config.adaptation, inputs.spec)
            inputs = dataclasses.replace(inputs, config=config, plan=plan)
            if config.distillation.teacher is not None:
                teaching.refuse_misfit(inputs, self._teacher(inputs))
            if config.meta.unlabelled is not None:
                meta.refuse_unfit(inputs)
        except InputError as error:
            raise InputError(f"The point {point.describe()}: {error}") from error

    def _read(self, config: ExperimentConfig) -> tuple[dict[str, Any], int, Inputs]:
        key = _reading(config)
        if key not in self._known:
            inputs = prepare(config)
            plan = BatchPlan(encode_split(inputs, "train"), 1, None, 1, config.seed)
            self._known[key] = fingerprints.of_beginning(inputs), plan.steps_per_epoch, inputs
        return self._known[key]

    def _told(self, config: ExperimentConfig) -> dict[str, str]:
        """Hash of the teacher, or of the texts without labels, under the name that a run has for either."""
        inputs = dataclasses.replace(self._read(config)[2], config=config)
        if config.distillation.teacher is not None:
            return {"teacher": self._teacher(inputs).fingerprint}
        if config.meta.unlabelled is None:
            return {}
        key = json.dumps([_reading(config), config.meta.unlabelled])
        if key not in self._texts:
            self._texts[key] = fingerprints.of_data(meta.unlabelled_texts(inputs))["train"]
        return {"teacher": self._texts[key]}

    def _teacher(self, inputs: Inputs) -> Teacher:
        """Opened once for all points that name it."""
        key = json.dumps([inputs.config.distillation.teacher, dataclasses.asdict(inputs.config.model)], default=str)
        if key not in self._teachers:
            opened = teaching.open_teacher(inputs)
            assert opened is not None  # the configuration names one
            self._teachers[key] = opened
        return self._teachers[key]


def _reading(config: ExperimentConfig) -> str:
    """The part of a configuration that decides what is read; start values of a new model depend on the seed."""
    seed = config.seed if config.model.source is None else None
    sections = [dataclasses.asdict(config.model), dataclasses.asdict(config.data), seed, config.training.metric]
    return json.dumps(sections, sort_keys=True, default=str)
