"""The contract of a model family: what its networks consist of, as data. Backends build what is described here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from common.backend.batch import CHARACTER_AXIS, SENTENCE_AXIS, Field
from common.models.modules import BIAS, EMBEDDING, LAYER_NORM, LINEAR, OTHER, RECURRENT, Kind, ModuleSpec
from common.models.recurrence import initial as initial_of_recurrence
from common.random import normal

__all__ = [
    "ATTENTION_MASK",
    "CHARACTERS",
    "DECODER_INPUT_IDS",
    "EACH",
    "FIRST",
    "IDS_OF_SENTENCES",
    "INPUT_IDS",
    "LAST",
]
__all__ += [
    "MASK_OF_SENTENCES",
    "POOLED",
    "STATES",
    "TOKEN_TYPE_IDS",
    "WRITTEN",
    "Backbone",
    "Family",
    "HeadLayout",
    "LayerParts",
    "Reading",
]

INPUT_IDS = Field("input_ids", ("batch", "seq"), padding="pad_id", bound="vocab_size")
ATTENTION_MASK = Field("attention_mask", ("batch", "seq"), default=1, first=1)
IDS_OF_SENTENCES = Field("input_ids", ("batch", SENTENCE_AXIS, "word"), padding="pad_id", bound="vocab_size")
MASK_OF_SENTENCES = Field("attention_mask", ("batch", SENTENCE_AXIS, "word"), default=1, first=1)
CHARACTERS = Field("characters", ("batch", "seq", CHARACTER_AXIS), bound="character_rows")
TOKEN_TYPE_IDS = Field("token_type_ids", ("batch", "seq"), default=0, bound="type_vocab_size")
DECODER_INPUT_IDS = Field("decoder_input_ids", ("batch", "target"), padding="pad_id", bound="vocab_size")


# Which positions of a sequence a head reads; constants, since MindSpore's graphs compare them.
FIRST = "first"
LAST = "last"  #: the last real token
EACH = "each"
WRITTEN = "written"  #: each token of the second sequence, which a decoder writes to the one that an encoder reads
STATES = "states"  #: all real tokens, by a module of the head, see `Reading`
POOLED = "pooled"  #: the backbone gives one vector for the whole sequence, ``(batch, hidden)``


@dataclass(frozen=True)
class Reading:
    """What a head makes of all states, ``(batch, seq, hidden)`` and the mask, before its dense layer and output: one
    vector ``(batch, width)``."""

    name: str  #: of the backends' module with ``readout(hidden, arguments)``, in their ``readouts``
    path: str  #: of it in the network
    modules: tuple[ModuleSpec, ...]  #: inside of it
    width: int  #: of the vector
    arguments: Mapping[str, Any]  #: its sizes
    position: ClassVar[str] = STATES


@dataclass(frozen=True)
class HeadLayout:
    """A task head: [context,] [reading,] [dropout, dense, activation, norm,] dropout, output, at the positions it
    reads.

    The dense layer has the backbone's width, or ``width``, which the norm and the output then have as well. Paths are
    Hugging Face's. ``base`` lists those of its modules that a pretrained checkpoint holds, which are adapted and frozen
    like the rest of the base model; all others, and those that a checkpoint lacks after all, start anew and are trained
    with every method.
    """

    architecture: str  #: of ``transformers``, for config.json; that of the network alone, where it has no such head
    position: str
    output: str
    named: bool = True  #: whether the architecture has this head, so that a checkpoint that names it is opened with it
    output_bias: bool = True  #: of an output that no bias vector is added to
    kind: Kind = LINEAR  #: of the output; another than a linear layer is ``Output`` of the backends' layers of its name
    outputs: int | None = None  #: their number, where the head alone decides it; see `count`
    dense: str | None = None
    width: int | None = None  #: of what the dense layer gives, where it is not the backbone's
    activation: str = "tanh"
    norm: str | None = None
    norm_eps: float = 1e-12
    dropout: float = 0.0  #: before the output
    dropout_path: str = "dropout"
    dense_dropout: float = 0.0  #: before the dense layer
    dense_dropout_path: str = "dense_dropout"
    tied_to: str | None = None  #: path of the embedding whose weight the output shares
    added: str | None = None  #: path of a bias vector that a tied output adds, where that is no part of the output
    words: bool = False  #: its outputs are the vocabulary, though their weight is their own
    base: tuple[str, ...] = ()
    beside: HeadLayout | None = None  #: a second head, of which the first position is read and ``outputs`` is given
    context: str | None = None  #: path of a norm of each state plus that of the first position, before the dense layer
    states: str = "states"  #: function of a backend's module of the family that gives what the head reads
    reading: Reading | None = None  #: a module that reads all states, with the position ``STATES``
    table: ModuleSpec | None = None  #: an embedding that this function needs besides the backbone's modules
    chain: str | None = None  #: path of the scores of a chain of its outputs: transitions, start and end

    def count(self, config: Mapping[str, Any]) -> int:
        """Number of outputs: its own, or one for each token of a tied output, or one for each label."""
        if self.outputs is not None:
            return self.outputs
        return config["vocab_size" if self.tied_to or self.words else "num_labels"]

    def modules(self, width: int, outputs: int) -> tuple[ModuleSpec, ...]:
        """Its modules in the order of the forward pass.

        Args:
            width: of the hidden states.
            outputs: their number, see `count`.
        """
        listed, states = [self.table] if self.table else [], width
        if self.context:
            listed.append(ModuleSpec(self.context, LAYER_NORM, width, width))
        if self.reading:
            listed += self.reading.modules
            width = self.reading.width
        if self.dense:
            inner = self.width or width
            listed.append(ModuleSpec(self.dense, LINEAR, width, inner))
            width = inner
        if self.norm:
            listed.append(ModuleSpec(self.norm, LAYER_NORM, width, width))
        bias = self.output_bias and not self.added
        listed.append(ModuleSpec(self.output, self.kind, width, outputs, bias=bias, tied_to=self.tied_to))
        if self.added:
            listed.append(ModuleSpec(self.added, BIAS, outputs, outputs))
        if self.chain:
            scores = (("transitions", (outputs, outputs)), ("start", (outputs,)), ("end", (outputs,)))
            listed.append(ModuleSpec(self.chain, OTHER, outputs, outputs, False, parameters=scores))
        if self.beside:
            listed += self.beside.modules(states, self.beside.count({}))
        return tuple(listed)

    def new(self) -> tuple[str, ...]:
        """Paths of the modules that are trained with every method."""
        own = (None, None) if self.tied_to else (self.output, self.added)
        table = self.table.path if self.table else None
        second = self.beside.new() if self.beside else ()
        reading = [module.path for module in self.reading.modules] if self.reading else []
        paths = (table, self.context, *reading, self.dense, self.norm, *own, self.chain, *second)
        return tuple(path for path in paths if path and path not in self.base)


@dataclass(frozen=True)
class Backbone:
    """The encoder or decoder without a head."""

    modules: tuple[ModuleSpec, ...]  #: in the order of the forward pass, each once
    width: int  #: of the hidden states
    layers: int  #: that a forward pass goes through
    prefix: str  #: of every module's path
    order: tuple[str, ...] = ()  #: paths of all modules in the order of their use, if one is used several times


@dataclass(frozen=True)
class LayerParts:
    """Paths, behind that of a layer, of an attention that is softmax(q k^T / sqrt(width)) v of projections of their own
    and nothing besides, and of the linear layers of a feed-forward part without gates."""

    attention: str
    mixed: str  #: the linear layer behind the attention
    inner: str  #: the first of the feed-forward part
    outer: str


class Family:
    """A model family. Members override what differs; ``name`` is Hugging Face's ``model_type``."""

    name: ClassVar[str]
    INPUTS: ClassVar[tuple[Field, ...]] = (INPUT_IDS, ATTENTION_MASK)
    DEFAULTS: ClassVar[dict[str, Any]]  #: of the Hugging Face configuration
    DROPOUTS: ClassVar[tuple[str, ...]]  #: entries that ``model.dropout`` replaces
    HEADS: ClassVar[tuple[str, ...]] = ("hidden_size", "num_attention_heads")  #: width, and what divides it; or nothing
    SIZE: ClassVar[dict[str, str]]  #: what tests and studies scale, by common name, to the configuration's names
    TARGETS: ClassVar[tuple[str, ...]]  #: the usual modules for adapters
    NULLABLE: ClassVar[tuple[str, ...]] = ()  #: entries that may be null, though their default is not
    ACTIVATION: ClassVar[str] = "hidden_act"  #: the entry that names the activation of the feed-forward parts
    UNDROPPED: ClassVar[tuple[str, ...]] = ()  #: matrices before a residual whose output no dropout masks
    COUNTED: ClassVar[bool] = True  #: whether `common.memory.formula` knows what its layers keep
    OPTIONAL: ClassVar[tuple[str, ...]] = ()  #: paths that checkpoints may hold though a head leaves them out
    WORDS: ClassVar[tuple[str, ...]] = ()  #: paths of the tables whose rows start as published vectors of words

    PARTS: ClassVar[LayerParts | None] = (
        None  #: of its layers, where heads and units can be taken out; see `LayerParts`
    )
    EMBEDDING_NORM: ClassVar[str | None] = (
        None  #: path, behind the prefix, of the norm of its embeddings, before which they can be perturbed
    )

    def backbone(self, config: Mapping[str, Any]) -> Backbone:
        """Modules of the network without its head."""
        raise NotImplementedError

    def head(self, name: str, config: Mapping[str, Any]) -> HeadLayout | None:
        """Its layout for the head ``name`` (`common.tasks.task.Task.head`); None leaves it to the task."""
        raise NotImplementedError

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """The longest sequence in tokens; None without a bound."""
        raise NotImplementedError

    def problems(self, config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
        """Entries under which the network would be another one than is described here, each as a rule with what was
        received.

        Args:
            config: the complete configuration.
            given: what the checkpoint's config.json says; empty without a checkpoint.
        """
        yield from ()

    def frozen(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the parameters that stay as they start, whatever the method."""
        return ()

    def tiny(self, **sizes: int) -> dict[str, Any]:
        """Configuration entries of a small network for tests: ``hidden``, ``layers``, ``heads``, ``inner``,
        ``positions``, by their common names."""
        known = {"hidden": 16, "layers": 2, "heads": 2, "inner": 24, "positions": 32, **sizes}
        return {entry: known[size] for size, entry in self.SIZE.items()}

    def initial(
        self, module: ModuleSpec, name: str, shape: tuple[int, ...], config: Mapping[str, Any], seed: int
    ) -> np.ndarray:
        """Start value of one parameter: weights N(0, initializer_range), biases 0, norms 1, padding row 0; those of
        recurrent modules as `common.models.recurrence` says."""
        if module.kind is RECURRENT:
            return initial_of_recurrence(module, name, shape, seed)
        if name.endswith(".bias"):
            return np.zeros(shape, np.float32)
        if module.kind.norm:
            return np.ones(shape, np.float32)
        value = normal(seed, name, shape, config["initializer_range"])
        if module.kind is EMBEDDING and module.path in self.padded(config) and config["pad_token_id"] is not None:
            value[config["pad_token_id"]] = 0.0
        return value

    def padded(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Paths of the embeddings whose padding row starts at 0."""
        return ()
