"""The experiment configuration: one frozen dataclass per section of the YAML file.
 Defaults stand in ``configs/defaults.yaml``, those of a method in its options (`common.methods`); a dataclass field
here carries only its type and meaning. The backend and the device are command-line choices and never part of the file,
so that one file describes the same experiment in both frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from common.backend.adversarial import Adversarial
from common.backend.distillation import Distillation
from common.backend.meta import Meta
from common.methods.method import MethodOptions

__all__ = ["DataConfig", "ExperimentConfig", "ModelConfig", "OptimizationConfig", "TrainingConfig"]


@dataclass(frozen=True)
class ModelConfig:
    """Which network is built and where its weights come from."""

    source: (
        str | None
    )  #: hub id, local folder, ``python:PACKAGE/FOLDER`` or ``modelscope:ORG/NAME``; null builds ``config`` from scratch
    task: str  #: a member of `common.tasks`
    tokenizer: (
        str | None
    )  #: hub id, folder, ``python:...`` or KIND:SIZE, such as ``bpe:8192``, trained on the training split; null: that
    #: of ``source``
    dropout: float | None  #: replaces every dropout probability of the base model; null keeps the checkpoint's
    config: dict[
        str, Any
    ]  #: Hugging Face configuration entries: changes to ``source``, or all of them when ``source`` is null
    task_options: dict[str, Any] = field(default_factory=dict)  #: of the task's own class, see its ``Options``
    add_tokens: tuple[str, ...] = ()  #: tokens that the vocabulary of ``source`` gets; its embedding is trained then
    vectors: str | None = (
        None  #: file of word vectors that a network from scratch starts from (`common.models.vectors`)
    )
    vectors_vocabulary: bool = False  #: whether every word of that file has a row, also those the training split lacks
    quantize: str | None = None  #: a transform that stores every linear layer but the head in few bits, under adapters
    adapter: str | None = None  #: folder of an adapter that training begins from, of the plan that the experiment has


@dataclass(frozen=True)
class DataConfig:
    """Which text is read and how it is cut into sequences."""

    name: str  #: a registered data set, ``files`` for the user's own, or ``hub`` for any of the Hugging Face hub
    directory: str | None  #: local folder; null reads the Hugging Face hub
    files: dict[str, str]  #: for ``files``: split (train, validation, test) to path, of a file or a folder of classes
    text_column: str | None  #: of the text, or of the words of a sentence
    text_pair_column: str | None  #: second text of a pair
    label_column: str | None  #: null for tasks without labels
    prompt_column: str | None  #: conditioning text of which no loss is taken
    max_length: int  #: tokens per sequence; longer texts are truncated (classification) or cut (language modelling)
    length_multiple: int  #: a batch is padded to its longest sequence rounded up to this multiple
    max_examples: dict[str, int]  #: split to number of examples kept, from the start; for trials
    label_names: tuple[str, ...] = ()  #: the classes in the order of their indices; empty: as published, or sorted
    label_separator: str | None = None  #: for ``files``: between the labels of one example in a field of text
    encoding: str = "utf-8"  #: for ``files``: of text files, by Python's names
    separator: str | None = None  #: for ``files``: of fields; null: a comma in .csv, a tab in .tsv
    columns: tuple[str, ...] = ()  #: for ``files``: names of the columns, where files have no header
    hub: str | None = None  #: for ``hub``: id of the data set, or ``modelscope:ORG/NAME``
    hub_config: str | None = None  #: for ``hub``: its configuration, where it has several
    splits: dict[str, str] = field(
        default_factory=dict
    )  #: for ``hub``: ours (train, ...) to what they are called there


@dataclass(frozen=True)
class OptimizationConfig:
    """An optimizer and a learning-rate schedule. Each optimizer adds its own entries, with defaults where it has
    any."""

    CHOICE = "optimizer"  #: the entry that chooses the class

    optimizer: str  #: a member of `common.optimizers`
    learning_rate: float  #: the largest one
    head_learning_rate: (
        float | None
    )  #: of the task head, which starts from nothing; follows the schedule in proportion; null: learning_rate
    final_learning_rate: float  #: what linear, cosine and polynomial schedules end at
    schedule: Literal[
        "constant", "linear", "cosine", "polynomial", "inverse_sqrt", "inverse_epochs", "halving"
    ]  #: after the warm-up
    power: float  #: of the polynomial schedule
    decay: float | None  #: of inverse_epochs, which divides by 1 + decay * finished epochs
    halve_after: float | None  #: of halving: epochs after which the rate is halved for the first time
    halve_every: float | None  #: of halving: epochs between two times
    warmup_steps: int | None  #: in which the learning rate rises from 0
    warmup_ratio: float | None  #: of all steps; at most one of the two may be given
    weight_decay: float  #: of all weights but biases and norms; decoupled in adamw, added to the gradient in the others
    max_grad_norm: float | None  #: global norm; null does not clip
    max_norm: float | None  #: bound of the norm of every row of the head's output weight, after each step

    @classmethod
    def select(cls, section: Mapping[str, Any]) -> type[OptimizationConfig]:
        """The entries with those of the optimizer that ``section`` names.

        Raises:
            InputError: there is no such optimizer.
        """
        from common.optimizers import OPTIMIZERS

        return OPTIMIZERS.get(str(section.get("optimizer"))).Options

    def problems(self) -> Iterator[tuple[str, str]]:
        """(entry, what is wrong with it) for values of the right type that do not fit."""
        yield from ()


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in which batches, and when to look."""

    global_batch_size: int  #: sequences per optimizer step, over all micro-batches
    micro_batch_size: int | None  #: sequences computed at once; null is the global batch size
    epochs: float  #: passes over the training split
    max_steps: int | None  #: stops earlier than ``epochs``; the schedule then ends there
    evaluate_every_steps: int | None  #: optimizer steps between evaluations
    evaluate_every_epochs: float | None  #: exactly one of the two
    evaluation_batch_size: int  #: sequences
    metric: str  #: of the task; decides the best state
    patience: int | None  #: evaluations without a strictly better metric before stopping; null never stops early
    log_every_steps: int  #: optimizer steps after which losses are fetched from the device and shown
    dtype: Literal["fp32", "bf16"]  #: that layers compute in; parameters that are trained stay float32
    compile: (
        bool | None
    )  #: null: the faster choice of the backend; true: ms.jit / torch.compile; false: eager / PyNative
    recompute: bool  #: keep the inputs of layers alone and compute the rest again in the backward pass (activation checkpointing); PyTorch only
    plain: tuple[str, ...]  #: fast paths to switch off, of `common.backend.FAST_PATHS`
    shard: (
        bool  #: divide the frozen weights among the processes, for models that one device does not hold; PyTorch only
    )
    adversarial: Adversarial = field(default_factory=Adversarial)  #: perturbed embeddings; none by default
    trackers: tuple[str, ...] = ()  #: members of `common.trackers` that get the events of the run


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment. ``name`` defaults to the file's stem and names the run directory."""

    name: str
    seed: int
    model: ModelConfig
    data: DataConfig
    adaptation: MethodOptions  #: of the method that it names
    optimization: OptimizationConfig
    training: TrainingConfig
    distillation: Distillation = field(default_factory=Distillation)  #: of a teacher; none by default
    meta: Meta = field(default_factory=Meta)  #: meta pseudo labels; none by default
