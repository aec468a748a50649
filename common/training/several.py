"""Several adapters on one base model, which is built once: one of them for every row, or for each row its own."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common import backend as backends
from common.artifacts.adapter import FOLDER
from common.backend import Batch, Engine, EngineSettings, EvalResult
from common.backend.capabilities import check
from common.edits import Edit
from common.errors import InputError, nearest
from common.methods.mixing import mixed_plan
from common.methods.plan import Plan
from common.methods.starts import Start
from common.models.specs import ModelSpec
from common.training import fingerprints
from common.training.adapters import is_adapter, open_adapter
from common.training.assembly import Trained, engine_settings, open_trained
from common.training.prediction import encoded_rows
from common.training.rundir import RunDirectory

__all__ = ["AdapterSet", "open_set"]

_NAMES = ("id2label", "label2id", "problem_type")
_DROPOUT = re.compile("dropout|pdrop")


def open_set(
    folders: Mapping[str, Path], experiment: str | None = None, source: str | None = None
) -> dict[str, Trained]:
    """The adapters of run directories and of folders that PEFT wrote, by name.

    Args:
        experiment, source: as in `common.training.adapters.open_adapter`.

    Raises:
        InputError: a folder cannot be opened, holds a whole model, or is of another base model than the first.
    """
    if not folders:
        raise InputError("Adapters are opened by name, as {name: folder}; none was given.")
    found = {
        name: open_adapter(Path(folder), experiment, source)
        if is_adapter(folder)
        else open_trained(RunDirectory(Path(folder)))
        for name, folder in folders.items()
    }
    first_name, first = next(iter(found.items()))
    for name, trained in found.items():
        if trained.plan.artifact != FOLDER:
            raise InputError(f"{name} trained the whole model with method {trained.plan.method}; open it by itself.")
        mine, other = trained.spec, first.spec
        same = (mine.family, mine.task, mine.shapes()) == (other.family, other.task, other.shapes())
        if not same or mine.fingerprint != other.fingerprint or _network(mine) != _network(other):
            raise InputError(
                f"Adapters share one base model, task and size of the head; those of {name} and {first_name} differ: "
                f"{_said(mine)} and {_said(other)}. Open them one by one."
            )
    return {name: dataclasses.replace(trained, spec=first.spec) for name, trained in found.items()}


def _said(spec: ModelSpec) -> str:
    network = fingerprints.hashed(json.dumps(_network(spec), sort_keys=True, default=str))
    return (
        f"{spec.source} {spec.fingerprint[:12]} ({spec.task}, {spec.config.get('num_labels')} outputs, configuration "
        f"{network[:12]})"
    )


def _network(spec: ModelSpec) -> dict[str, Any]:
    """What the configuration says of the computation: an activation, the number of heads, the settings of layers in few
    bits, ... Adapters may differ in the names of classes and in dropout, which is of training."""
    entries = fingerprints.configuration(spec)
    layers = {"layers": fingerprints.of_base(spec).get("layers")}
    return layers | {key: value for key, value in entries.items() if key not in _NAMES and not _DROPOUT.search(key)}


class AdapterSet:
    """A network that is given one adapter after another.

    Args:
        trained: what `open_set` returns.
        backend: name; by default that of the first.
    """

    def __init__(self, trained: Mapping[str, Trained], backend: str | None = None, device: str | None = None):
        self.trained = dict(trained)
        first = next(iter(self.trained.values()))
        self._spec = first.spec
        self._backend = backends.load(backend or first.summary["backend"])
        self._device = self._backend.device.select(device)
        self._model: Any = None
        self._plan: Plan | None = None
        self._engine: Any = None
        self._settings: Any = None
        self._mixed = False
        self.active = next(iter(self.trained))

    def set_adapter(self, name: str) -> None:
        """Use this adapter from now on.

        Raises:
            InputError: there is none of the name.
        """
        self._require(name)
        self.active = name

    def engine(self) -> Engine:
        """An engine with the active adapter."""
        trained = self.trained[self.active]
        self._put(trained.plan, trained.arrays, trained, mixed=False)
        return self._engine

    def mixed(self, names: Sequence[str | None]) -> Engine:
        """An engine that evaluates example i with the adapter ``names[i]``; None is the base model.

        Raises:
            InputError: a name is unknown, or the adapters cannot be in one batch (`common.methods.mixing`).
        """
        for name in names:
            if name is not None:
                self._require(name)
        if not self._mixed:
            plans = {name: trained.plan for name, trained in self.trained.items()}
            plan = mixed_plan(plans, {name: trained.arrays for name, trained in self.trained.items()}, self._spec)
            self._put(plan, dict(plan.initial_values(0)), next(iter(self.trained.values())), mixed=True)
        numbers = {name: number for number, name in enumerate(self.trained)}
        rows = np.array([len(numbers) if name is None else numbers[name] for name in names], np.int32)
        return _Mixed(self._engine, self._backend, rows, len(numbers))

    def check_reading(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str | None]) -> None:
        """Whether the active adapter, which reads the texts of a batch, and those of its rows read them alike.

        Raises:
            InputError: a name is unknown, tokenizers, ``model.task_options`` or ``training.dtype`` differ, or a text
                exceeds the shortest ``data.max_length``, so that adapters would see different parts of it.
        """
        for name in filter(None, names):
            self._require(name)
        used = {name: self.trained[name] for name in dict.fromkeys((self.active, *filter(None, names)))}
        readings: dict[str, Callable[[Trained], Any]] = {
            "the tokenizer": lambda one: fingerprints.of_tokenizer(one.tokenizer)[:12],
            "model.task_options": lambda one: one.task.options,
            "training.dtype": lambda one: one.config.training.dtype,
        }
        for what, reading in readings.items():
            found = {name: reading(one) for name, one in used.items()}
            if len(set(map(str, found.values()))) > 1:
                raise _differing(what, found)
        lengths = {name: one.config.data.max_length for name, one in used.items()}
        shortest = used[min(lengths, key=lengths.__getitem__)]
        if rows and len(set(lengths.values())) > 1 and encoded_rows(shortest, rows).truncated:
            raise _differing("data.max_length, where a text is longer,", lengths)

    def _require(self, name: str) -> None:
        if name not in self.trained:
            known = list(self.trained)
            raise InputError(f"There is no adapter {name!r}; there are {', '.join(known)}.{nearest(name, known)}")

    def _put(self, plan: Plan, arrays: Mapping[str, np.ndarray], trained: Trained, mixed: bool) -> None:
        settings = engine_settings(trained.config)
        settings = dataclasses.replace(settings, shard=False, compile=False if mixed else settings.compile)
        if self._plan is not None and _prepared(settings) != _prepared(self._settings):
            self._model = self._plan = self._engine = None  # the network was changed for good, such as cast to bfloat16
        if self._plan is not None and not mixed and not self._mixed and _same(plan, self._plan):
            self._engine.load_trainable(arrays)  # the layers stay, and what was compiled
            return
        check(self._backend, self._device, self._spec, plan, settings)
        if self._plan is None:
            self._model = self._backend.build_model(self._spec, self._device)
        else:
            self._backend.restore(self._model, self._plan, self._spec.arrays)
        self._backend.rewrite(self._model, plan, arrays)
        self._engine = self._backend.Engine(self._model, plan, settings)
        self._engine.load_trainable(arrays)
        self._plan, self._mixed, self._settings = plan, mixed, settings


def _differing(what: str, found: Mapping[str, Any]) -> InputError:
    listed = ", ".join(f"{name}: {value}" for name, value in found.items())
    return InputError(
        f"Adapters in one batch, and the active one, share {what} since a batch is read once; they have "
        f"{listed}. Choose one adapter for all rows: set_adapter."
    )


def _same(first: Plan, second: Plan) -> bool:
    """Whether one network serves both. Layers that start from the weight hold what they take off, which the same
    ``init`` makes of the same weight."""
    edits = [
        [(edit.path, edit.layer, edit.mode, edit.arguments, _init(edit)) for edit in plan.edits]
        for plan in (first, second)
    ]
    return edits[0] == edits[1] and first.shapes() == second.shapes()


def _init(edit: Edit) -> str | None:
    start = getattr(edit.arguments, "start", None)
    return start.init if isinstance(start, Start) else None


def _prepared(settings: EngineSettings) -> tuple[Any, ...]:
    """What an engine changes the network by, when it is made."""
    return settings.dtype, settings.plain


class _Mixed:
    """An engine of several adapters, for evaluation."""

    def __init__(self, engine: Any, backend: Any, rows: np.ndarray, base: int):
        self._engine, self._backend, self._rows, self._base = engine, backend, rows, base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def choose(self, indices: np.ndarray, count: int) -> None:
        """Which examples, of ``count``, the next batch holds; further rows of it are filling."""
        if count != len(self._rows):
            raise InputError(f"There must be one adapter for each of the {count} examples; received {len(self._rows)}.")
        self._chosen = self._rows[indices]

    def eval_step(self, batch: Batch) -> EvalResult:
        """As the engine's."""
        rows = np.full(len(batch["input_ids"]), self._base, np.int32)
        rows[: len(self._chosen)] = self._chosen
        self._backend.choose(self._engine.model, rows)
        return self._engine.eval_step(batch)

    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """As the engine's, of all examples in order."""
        self._backend.choose(self._engine.model, self._rows)
        return self._engine.logits_at(batch, positions)

    def decoder(self, capacity: int) -> None:
        """Texts of several adapters are not written in one batch."""
        return None
