"""What a transform must know of a model's behaviour: where the data come from, and statistics on them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import backend as backends
from common.backend import Batch, Engine
from common.backend.adversarial import Adversarial
from common.backend.distillation import Distillation
from common.compression.importance import Group, importances
from common.compression.transform import Score
from common.config import ExperimentConfig, load_config
from common.data import Encoded, TextData, encode, load_dataset
from common.data.batching import EVALUATION, collate
from common.edits import Edit, ParameterSpec
from common.errors import InputError, RunError
from common.methods import full
from common.methods.plan import Plan
from common.models.loading import load_model_spec
from common.models.specs import ModelSpec
from common.quantisation.fake import observing
from common.reading import expanded
from common.tasks import configured
from common.training.assembly import build_engine, positions_of
from common.training.opening import Opened
from common.training.rundir import RunDirectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["SAMPLES", "Behaviour", "Observed", "Scores"]

SAMPLES = 256  #: examples that statistics are collected on, unless another number is given


@dataclass(frozen=True)
class Behaviour:
    """Where and on what a model is observed."""

    experiment: str | None = None  #: a configuration whose data are read; by default that of the run
    data_dir: str | None = None  #: folder of the data set
    samples: int = SAMPLES  #: examples, evenly spaced: of the training split for statistics, of validation for scores
    backend: str | None = None  #: by default that of the run, or the first that is installed
    device: str | None = None

    def of(self, source: str | Path, opened: Opened) -> Observed:
        """The model of ``source`` with its data.

        Raises:
            InputError: no data are named, they do not fit the model, or its head is not trained.
        """
        run = RunDirectory(Path(source))
        is_run = run.config.is_file()
        if self.samples < 1:
            raise InputError(f"--samples must be greater than 0; received {self.samples}.")
        if self.experiment is None and not is_run:
            raise InputError(
                f"{source} does not say which data it is for, and the transform needs some. Name an experiment: "
                "--data CONFIG, for example bert_sst2."
            )
        folder = None if self.data_dir is None else str(expanded(self.data_dir).resolve())
        overrides = [] if folder is None else [f"data.directory={json.dumps(folder)}"]
        config = run.read_config() if self.experiment is None else load_config(self.experiment, overrides)
        config = dataclasses.replace(
            config,
            data=config.data if folder is None else dataclasses.replace(config.data, directory=folder),
            training=dataclasses.replace(config.training, dtype="fp32", shard=False, adversarial=Adversarial()),
            optimization=dataclasses.replace(config.optimization, max_norm=None),  # nothing is updated
            distillation=Distillation(),
        )
        task = configured(config.model)
        if task.name != opened.spec.task:
            raise InputError(
                f"The data must be of the model's task, {opened.spec.task}; those of {config.name} are of {task.name}."
            )
        data = load_dataset(config.data, task)
        spec = opened.spec if is_run else _with_classes(str(source), config, data, opened)
        _check(spec, data, config.data.max_length)
        trained = (run.read_summary() or {}).get("backend") if is_run else None
        chosen = self.backend or trained or next(name for name, there in backends.available().items() if there)
        return Observed(config, spec, data, opened.tokenizer, self.samples, chosen, self.device)


def _with_classes(source: str, config: ExperimentConfig, data: TextData, opened: Opened) -> ModelSpec:
    """The model of a folder, its classes in the order of the data."""
    section = dataclasses.replace(config.model, source=source, config={}, dropout=None)
    tokenizer = opened.tokenizer
    return load_model_spec(section, data.label_names, len(tokenizer), tokenizer.pad_token_id, config.seed)


def _check(spec: ModelSpec, data: TextData, length: int) -> None:
    positions = positions_of(spec)
    if positions is not None and length > positions:
        raise InputError(
            f"The model takes {positions} tokens at most, and data.max_length is {length}. Name an experiment with fewer."
        )
    if spec.new_parameters:
        raise InputError(
            f"The head of {spec.source} is not trained ({', '.join(spec.new_parameters)}), so that its loss says nothing. "
            "Train it first."
        )
    known = tuple(map(str, spec.config.get("id2label", {}).values()))
    if data.label_names is not None and known != data.label_names:
        raise InputError(f"The model has the classes {known}, and the data {data.label_names}. Give data of the same.")


@dataclass(frozen=True)
class Observed:
    """A model, and the data that it is observed on."""

    config: ExperimentConfig
    spec: ModelSpec
    data: TextData
    tokenizer: PreTrainedTokenizerFast
    samples: int
    backend: str
    device: str | None

    def engine(self, parameters: Sequence[str], edits: tuple[Edit, ...] = ()) -> Engine:
        """An engine in fp32 that differentiates the named parameters, and holds those of ``edits``."""
        shapes, member = self.spec.shapes(), full.MEMBER
        listed = tuple(ParameterSpec(name, shapes[name], "observed") for name in parameters)
        plan = Plan(member.name, edits, listed, (), member.artifact, member.Options(member.name))
        package = backends.load(self.backend)
        return build_engine(package, package.device.select(self.device), self.config, self.spec, plan)

    def encoded(self, split: str) -> Encoded:
        """A split as token sequences."""
        task = configured(self.config.model)
        return encode(self.data, split, self.tokenizer, self.config.data, task, self.spec.schema)

    def spaced(self, size: int) -> np.ndarray:
        """Evenly spaced indices, as many as samples are wanted."""
        count = min(self.samples, size)
        return np.arange(count) * size // count

    def examples(self) -> Iterator[Batch]:
        """Evenly spaced examples of the training split, each a batch of its own."""
        encoded = self.encoded("train")
        for index in self.spaced(len(encoded)):
            one = np.array([index])
            batch = collate(encoded, one, 1, self.config.data.length_multiple)
            yield from encoded.task.weighted([encoded.task.corrupt(batch, encoded, one, EVALUATION)])

    def fisher(self, paths: Sequence[str]) -> dict[str, np.ndarray]:
        """Mean over the examples of the squared gradient of each module's weight, float64, by path."""
        found = self.engine([f"{path}.weight" for path in paths]).collect(self.examples())
        return {path: found[f"{path}.weight"] for path in paths}

    def ranges(self, paths: Sequence[str]) -> dict[str, float]:
        """The largest absolute value that each matrix reads, by path; nothing of tables.

        Padding is read too: it is what the layer gets.
        """
        modules = {module.path: module for module in self.spec.modules}
        edits = tuple(observing(modules[path]) for path in paths if modules[path].kind.matrix)
        engine = self.engine([], edits)
        for batch in self.examples():
            engine.eval_step(batch)
        seen = engine.trainable()
        return {edit.path: float(seen[edit.parameters[0].name][0]) for edit in edits}

    def importance(self, groups: Sequence[Group]) -> dict[str, np.ndarray]:
        """See `common.compression.importance.importances`, on the examples one at a time."""
        engine = self.engine(list(dict.fromkeys(name for group in groups for name, _ in group.parameters)))
        return importances(groups, self.spec.arrays, (engine.gradients([example]) for example in self.examples()))

    def scorer(self, paths: Sequence[str]) -> Scores:
        """Scores of the model with other weights of these modules."""
        return Scores(self, [f"{path}.weight" for path in paths])

    def record(self, split: str) -> dict[str, object]:
        """For the history of what was made of it, ready for JSON.

        Args:
            split: which the examples are of.
        """
        used = len(self.spaced(len(self.encoded(split))))
        return {"data": self.config.data.name, "samples": used, "backend": self.backend}


class Scores:
    """Implements `common.compression.transform.Scorer` with one engine, whose weights are exchanged."""

    def __init__(self, observed: Observed, names: Sequence[str]):
        self._observed, self._engine = observed, observed.engine(names)
        self._own = {name: observed.spec.arrays[name] for name in names}
        self.metric = observed.config.training.metric
        whole = observed.encoded("validation")
        self._validation = whole.subset(observed.spaced(len(whole)))
        self.higher_is_better = whole.task.higher_is_better(self.metric)
        self._tested = False

    def validation(self, changed: Mapping[str, np.ndarray]) -> Score:
        """Of evenly spaced examples."""
        found = self._score(changed, self._validation)
        return Score(found[self.metric] if self.higher_is_better else -found[self.metric], -found["loss"])

    def test(self, changed: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]] | None:
        """Of the whole split."""
        if self._tested:
            raise RunError("The test split is scored once, after a search has ended; it was scored before.")
        self._tested = True
        if "test" in self._observed.data.unlabelled or "test" not in self._observed.data.splits:
            return None
        encoded = self._observed.encoded("test")
        return {when: self._score(arrays, encoded) for when, arrays in (("before", {}), ("after", changed))}

    def _score(self, changed: Mapping[str, np.ndarray], encoded: Encoded) -> dict[str, float]:
        self._engine.load_trainable({**self._own, **changed})
        size, multiple = (
            self._observed.config.training.evaluation_batch_size,
            self._observed.config.data.length_multiple,
        )
        evaluator = encoded.task.evaluator(encoded)
        order = np.argsort(encoded.lengths, kind="stable")
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = encoded.task.corrupt(collate(encoded, rows, size, multiple), encoded, rows, EVALUATION)
            evaluator.update(rows, batch, self._engine.eval_step(batch))
        return evaluator.metrics()
