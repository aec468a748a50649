"""From a configuration to everything a run needs: text, tokenizer, model, plan, encoded splits, engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from common import backend as backends
from common import hub
from common.artifacts import storage
from common.backend import Engine, EngineSettings
from common.backend.capabilities import check
from common.config import ExperimentConfig
from common.data import Encoded, TextData, encode, load_dataset, load_tokenizer, resolve_folder
from common.data.loading import of_the_hub
from common.data.tokenizer_training import is_trained
from common.distributed import ALONE, Group
from common.edits import ParameterSpec
from common.errors import InputError
from common.methods import METHODS
from common.methods.merge import refuse_lost
from common.methods.plan import Plan
from common.methods.unfreezing import with_embeddings
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.models.modules import DISTANCES
from common.models.specs import ModelSpec
from common.models.vectors import Words, words_of
from common.optimizers.bounding import bounded
from common.tasks import Task, configured
from common.terminal import notice
from common.training import fingerprints
from common.training.rundir import FAILED, RunDirectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "POSITIONS",
    "Inputs",
    "Trained",
    "build_engine",
    "describe",
    "encode_split",
    "engine_settings",
    "load_engine",
    "open_trained",
    "prepare",
    "tokenizer_of",
]

POSITIONS = ("max_position_embeddings", "n_positions")  # of families that are not described here


@dataclass(frozen=True)
class Inputs:
    """A configuration with the text, tokenizer, model and plan that it names."""

    config: ExperimentConfig
    data: TextData
    tokenizer: PreTrainedTokenizerFast
    spec: ModelSpec
    plan: Plan
    teacher: str | None = None  #: fingerprint of the teacher's arrays, where its outputs are in the batches
    beside: tuple[ParameterSpec, ...] = ()  #: what is trained with the model and no part of it

    @property
    def task(self) -> Task:
        """The task of the configuration."""
        return configured(self.config.model)


@dataclass(frozen=True)
class Trained:
    """A trained run: its model, its plan and the best state of every trained array."""

    run: RunDirectory
    config: ExperimentConfig
    summary: dict[str, Any]
    tokenizer: PreTrainedTokenizerFast
    spec: ModelSpec
    plan: Plan
    arrays: dict[str, np.ndarray]
    apart: bool = False  #: whether texts of another padded length are answered in batches of their own

    @property
    def task(self) -> Task:
        """The task of the configuration."""
        return configured(self.config.model)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes; None for a language model."""
        return tuple(self.summary["data"]["labels"]) if self.summary["data"]["labels"] else None


def prepare(config: ExperimentConfig) -> Inputs:
    """Read everything ``config`` names and resolve the plan. Raises InputError for whatever does not fit together."""
    refuse_absent(config)
    task = configured(config.model)
    data = load_dataset(config.data, task)
    measured = task.measured(data.label_names)
    if config.training.metric not in measured:
        raise InputError(
            f"training.metric must be one of {', '.join(measured)} for the classes of {config.data.name}; received "
            f"{config.training.metric!r}."
        )
    tokenizer = tokenizer_of(config, data)
    spec, plan = describe(config, data.label_names, tokenizer)
    refuse_lost(plan, spec)
    return Inputs(config, data, tokenizer, spec, plan)


def refuse_absent(config: ExperimentConfig) -> None:
    """Refuse an experiment whose model, tokenizer or data the hub cannot provide, where it cannot be reached. Commands
    call this before a framework is imported, which takes seconds.

    Raises:
        InputError: everything that is missing, and what to name instead; or one is written as a folder that is not there.
    """
    model, wanted = config.model, [*of_the_hub(config.data)]
    if model.tokenizer and not is_trained(model.tokenizer) and resolve_folder(model.tokenizer) is None:
        wanted.insert(0, hub.tokenizer(model.tokenizer))
    if model.source and resolve_folder(model.source) is None:
        wanted.insert(0, hub.model(model.source))
    hub.refuse_absent(wanted)


def tokenizer_of(config: ExperimentConfig, data: TextData) -> PreTrainedTokenizerFast:
    """The tokenizer of the configuration; ``bpe:SIZE`` is trained on the training split.

    Raises:
        InputError: it cannot be made, or the file whose words it is to know cannot be read.
    """
    task = configured(config.model)
    corpus = task.corpus(data.splits["train"])
    source = config.model.tokenizer or config.model.source
    assert source is not None  # `common.config.rules`
    words = words_of(config.model.vectors) if config.model.vectors and config.model.vectors_vocabulary else ()
    return task.fitted(load_tokenizer(source, corpus, config.model.add_tokens, words))


def describe(
    config: ExperimentConfig, labels: tuple[str, ...] | None, tokenizer: PreTrainedTokenizerFast
) -> tuple[ModelSpec, Plan]:
    """The model and the plan.

    Raises:
        InputError: they do not exist or fit, or ``data.max_length``, with the virtual tokens that the method puts before
            a sequence, exceeds the positions of the model.
    """
    words = Words(tokenizer.get_vocab(), frozenset(tokenizer.all_special_ids))
    spec = load_model_spec(config.model, labels, len(tokenizer), tokenizer.pad_token_id, config.seed, words)
    if config.model.quantize is not None:
        spec = _quantised(spec, config.model.quantize)
    positions = positions_of(spec)
    if positions is not None:
        _refuse_longer(config.data.max_length, config.adaptation.prepended, positions)
    if config.training.adversarial.method != "none":
        _check_perturbed(spec, config.adaptation.prepended)
    method = METHODS.get(config.adaptation.method)
    plan = method.plan(method.completed(config.adaptation, tokenizer), spec)
    return spec, with_embeddings(plan, spec)


def _quantised(spec: ModelSpec, name: str) -> ModelSpec:
    """The frozen base of adapters in few bits; its fingerprint stays that of the weights that it was made of.

    Raises:
        InputError: ``name`` is no transform of few bits, or a second network is trained too.
    """
    from common.compression.compress import transformed
    from common.compression.narrow import base_of

    if spec.companion is not None:
        raise InputError(f"model.quantize is there for one network; task {spec.task} trains two. Set it to null.")
    return transformed(spec, *base_of(name))[0]


def positions_of(spec: ModelSpec) -> int | None:
    """Tokens that the model takes, and its second network with it; None where its configuration does not say."""
    positions = FAMILIES.get(spec.family).positions(spec.config) if spec.family in FAMILIES else None
    if positions is None:
        positions = next((spec.config[key] for key in POSITIONS if key in spec.config), None)
    beside = None if spec.companion is None else positions_of(spec.companion.spec)
    return min((count for count in (positions, beside) if count is not None), default=None)


def _check_perturbed(spec: ModelSpec, prepended: int) -> None:
    """Raises InputError where adversarial training cannot perturb the embeddings of the model."""
    if not spec.perturbed_width:
        suited = ", ".join(family.name for family in FAMILIES if family.EMBEDDING_NORM)
        raise InputError(
            f"training.adversarial perturbs embeddings before their norm, which the families {suited} have; this is a "
            f"{spec.family} model. Leave it out, or choose another model."
        )
    if spec.layout is not None and spec.layout.kind is DISTANCES:
        raise InputError(
            "training.adversarial keeps probabilities together, and those of model.task_options.loss: isomax are "
            "trained at another scale than they are predicted. Leave one of the two out."
        )
    if prepended:
        raise InputError(
            "training.adversarial perturbs the embeddings of words, and the method puts virtual tokens before them. Leave "
            "it out, or choose another adaptation.method."
        )


def _refuse_longer(length: int, prepended: int, positions: int) -> None:
    """Raises InputError where a sequence and the virtual tokens before it have more than ``positions``."""
    if length + prepended > positions:
        if not prepended:
            raise InputError(
                f"data.max_length must be at most the model's {positions} positions; received {length}. Set "
                f"data.max_length={positions} or less."
            )
        raise InputError(
            f"The {prepended} virtual tokens of adaptation.tokens and data.max_length must together be at most the model's "
            f"{positions} positions; received {prepended} + {length} = {prepended + length}. Set data.max_length to at most "
            f"{positions - prepended}."
        )


def encode_split(inputs: Inputs, split: str) -> Encoded:
    """One split as token sequences."""
    return encode(inputs.data, split, inputs.tokenizer, inputs.config.data, inputs.task, inputs.spec.schema)


def engine_settings(config: ExperimentConfig) -> EngineSettings:
    """What the engine must know of the configuration."""
    optimization, training = config.optimization, config.training
    return EngineSettings(
        optimization=optimization,
        dtype=training.dtype,
        compile=training.compile,
        recompute=training.recompute,
        plain=training.plain,
        seed=config.seed,
        head_factor=(optimization.head_learning_rate or optimization.learning_rate) / optimization.learning_rate,
        shard=training.shard,
        adversarial=None if training.adversarial.method == "none" else training.adversarial,
    )


def build_engine(
    backend: ModuleType,
    device: str,
    config: ExperimentConfig,
    spec: ModelSpec,
    plan: Plan,
    group: Group = ALONE,
    beside: tuple[ParameterSpec, ...] = (),
) -> Engine:
    """Build the model, rewrite it by the plan and wrap it in an engine. One that is sharded never exists whole on an
    accelerator: it is built on the CPU.

    Args:
        beside: what is trained with the model and no part of it.
    """
    settings = dataclasses.replace(engine_settings(config), beside=beside)
    alone = METHODS.get(plan.method).alone
    if group.size > 1 and alone is not None:
        raise InputError(f"method: {plan.method} is trained by one process; received {group.size}. {alone}.")
    if set(config.distillation.fields) & set(spec.schema.fields):  # in training alone, see `common.training.teaching`
        settings = dataclasses.replace(settings, distillation=config.distillation)
    if config.optimization.max_norm is not None:
        settings = dataclasses.replace(settings, bounded=bounded(spec, plan))
    check(backend, device, spec, plan, settings if group.size > 1 else dataclasses.replace(settings, shard=False))
    model = backend.build_model(spec, "cpu" if config.training.shard and group.size > 1 else device)
    backend.rewrite(model, plan, plan.initial_values(config.seed))
    return backend.Engine(model, plan, settings, group)


def load_engine(trained: Trained, backend_name: str | None = None, device: str | None = None) -> Engine:
    """An engine with the trained arrays of a run, in its own backend unless another is named."""
    backend = backends.load(backend_name or trained.summary["backend"])
    engine = build_engine(backend, backend.device.select(device), trained.config, trained.spec, trained.plan)
    engine.load_trainable(trained.arrays)
    return engine


def _say_failed(run: RunDirectory, summary: Mapping[str, Any], best: Path) -> None:
    """Say that a run diverged; what is opened is the best state before that.

    Raises:
        InputError: there is none.
    """
    best_step, steps = summary.get("best_step"), summary.get("steps")
    if best_step is None or not best.is_dir():
        raise InputError(
            f"{run.path} diverged after step {steps}, before a state was kept. Train again with --overwrite and a lower "
            "optimization.learning_rate, a longer warm-up or in fp32."
        )
    notice(f"{run.path} diverged after step {steps}; its best state, of step {best_step}, is opened.")


def open_trained(run: RunDirectory) -> Trained:
    """Read a completed run back; of one that diverged the best state, which is said on standard error.

    Raises:
        InputError: it is no run, not complete, or its base model is not here or another one.
    """
    config, summary = run.read_config(), run.read_summary()
    kept = METHODS.get(config.adaptation.method).artifact
    if summary is not None and summary.get("status") == FAILED:
        _say_failed(run, summary, run.best(kept))
    elif summary is None or not run.complete():
        raise InputError(
            f"{run.path} has not come to its end. Continue it: twinlora train with the same arguments and --resume."
        )
    tokenizer = load_tokenizer(str(run.tokenizer))
    labels = summary["data"]["labels"]
    if storage(kept).WHOLE:
        moved = dataclasses.replace(config.model, source=str(run.best(kept)), config={})
        config = dataclasses.replace(config, model=moved)
    spec, plan = describe(config, tuple(labels) if labels else None, tokenizer)
    now = {"tokenizer": fingerprints.of_tokenizer(tokenizer)} | (
        {} if storage(kept).WHOLE else fingerprints.of_base(spec)
    )
    fingerprints.compare(run, now, f"Restore {run.tokenizer} from a copy, or the base model {config.model.source}.")
    arrays = (
        {name: spec.arrays[name] for name in plan.shapes()}
        if storage(kept).WHOLE
        else storage(kept).load(run.best(kept), plan, spec)
    )
    return Trained(run, config, summary, tokenizer, spec, plan, arrays)
