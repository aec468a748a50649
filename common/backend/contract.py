"""What `common` knows of a backend.

The training loop and the commands talk to these types only. A backend package (`pytorch_impl`, `mindspore_impl`)
exports functions and classes of the names below; batches are dicts of NumPy arrays (`common.backend.batch`), and
everything that crosses the boundary is NumPy or plain data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from common.backend.adversarial import Adversarial
from common.backend.batch import Batch
from common.backend.distillation import Distillation
from common.compilation import Compilations
from common.distributed import Group

if TYPE_CHECKING:
    from common.config.schema import OptimizationConfig
    from common.edits import ParameterSpec

__all__ = ["FAST_PATHS", "Decoder", "Engine", "EngineSettings", "EvalResult", "StepHandle", "Translator"]

#: ways of computing the same faster or in less memory, all of which are used unless ``training.plain`` names them
FAST_PATHS = {
    "lora": "a projection and its update as one node, which keeps the input alone (PyTorch)",
    "attention": "a hand-written backward pass, which keeps the probabilities or, in PyTorch where they are many, "
    "computes them again",
    "last_layer": "the last encoder layer for the classified position alone (whose dropout masks are others then)",
    "products": "float32 products of frozen layers through oneDNN on CPUs that MKL is slow on (PyTorch)",
    "loss": "the language model's loss in pieces, without its logits",
    "fused": "GELU and layer norm with a hand-written backward pass (MindSpore); GELU's tanh form, and layer norm where it "
    "is composed, as one operator (PyTorch)",
    "memory": "the process keeps what it frees instead of giving it back to the system after every step; for good, "
    "once switched on (PyTorch, CPUs)",
    "weights": "in bf16, frozen weights kept in bfloat16 instead of being cast in every pass (PyTorch)",
}


@dataclass(frozen=True)
class EngineSettings:
    """What an engine must know besides the model: the optimizer's settings, arithmetic and device."""

    optimization: OptimizationConfig  #: of which the engine reads what belongs to a single update
    dtype: str  #: fp32 or bf16; fp64 for references, in PyTorch
    compile: bool | None
    seed: int  #: of the dropout masks
    head_factor: float = 1.0  #: by which the task head's learning rate is larger
    recompute: bool = False  #: keep the inputs of layers alone, and compute the rest again in the backward pass
    plain: tuple[str, ...] = ()  #: `FAST_PATHS` that are switched off
    shard: bool = False  #: divide the frozen parameters among the processes
    adversarial: Adversarial | None = None  #: a term of perturbed embeddings
    distillation: Distillation | None = None  #: terms of a teacher's outputs, which the batches then hold
    bounded: str | None = None  #: name of the weight whose rows ``optimization.max_norm`` bounds
    beside: tuple[
        ParameterSpec, ...
    ] = ()  #: trained with the model and no part of it: kept in the engine's state alone


@dataclass(frozen=True)
class StepHandle:
    """Results of one optimizer step that may still be on the device; ``Engine.fetch`` turns them into floats."""

    loss_sum: Any  #: sum of the loss over the targets of the step
    grad_norm: Any  #: global L2 norm of the mean-loss gradient before clipping
    count: int  #: number of targets


@dataclass(frozen=True)
class EvalResult:
    """Loss over one batch, and what the task reports for each example (`common.tasks.task.Task.outputs`)."""

    loss_sum: float
    count: int
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)  #: (batch, ...) float32


class Decoder(Protocol):
    """A batch of sequences with the keys and values of what a causal language model has read of them.

    All rows end in the same column. A decoder holds its rows until its next ``prefill``, or until its engine makes
    another one. Logits are float32 ``(rows, vocabulary)`` and valid until the next call.
    """

    def prefill(self, input_ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read prompts, forgetting what was held; returns the logits after their last tokens.

        Args:
            input_ids: ``(rows, columns)`` int32, padded on the left with any token.
            lengths: tokens of each row, ``(rows,)`` int32, at least 1.
        """

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token ``(rows,)`` int32 to every row; returns the logits after it. The position of a row that
        exceeds the model's stays at the last one: such a row has ended."""

    def reorder(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was, int32; there may be more or fewer rows than before."""


class Translator(Protocol):
    """A batch of sequences that an encoder-decoder writes, with what it keeps of the sources and of the tokens so far.

    A translator holds its rows until its next ``read``, or until its engine makes another one.
    """

    def read(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> None:
        """Read sources ``(rows, columns)`` int32, padded on the right, forgetting what was held. Nothing is written to
        them yet."""

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token ``(rows,)`` int32 to every row, the begin token first; returns the logits after it, float32
        ``(rows, vocabulary)``, valid until the next call."""

    def reorder(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was, int32; there may be more or fewer rows than before."""


class Engine(Protocol):
    """Runs one adapted model: training steps, evaluation, state. Built as ``Engine(model, plan, settings, group)``.

    Of a training step it computes the micro-batches that fall to its process (`common.distributed.share`); the other
    methods compute what they are given.
    """

    model: Any  #: the adapted network, a module of the framework
    group: Group
    compilations: Compilations  #: of graphs, since the engine was built

    def train_step(self, micro_batches: Sequence[Batch], learning_rate: float) -> StepHandle:
        """Accumulate the micro-batches, weighted by their targets, clip and update once."""

    def fetch(self, handles: Sequence[StepHandle]) -> list[tuple[float, float]]:
        """Return (loss_sum, grad_norm) of each handle as Python floats."""

    def eval_step(self, batch: Batch) -> EvalResult:
        """Loss and the task's outputs without gradients or dropout."""

    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """Language-model logits ``(batch, vocabulary)`` float32 at one position per row."""

    def decoder(self, capacity: int) -> Decoder | None:
        """A decoder of up to ``capacity`` columns; None where the network has none, so that `logits_at` must do.

        It computes with the parameters and adapters as they are when it is made.
        """

    def translator(self) -> Translator | None:
        """What writes to sources, with the parameters and adapters as they are; None where the network has no such way,
        so that `logits_at` must do."""

    def attentions(self, batch: Batch) -> np.ndarray | None:
        """How much every written token attends to every token that is read, ``(batch, layers, heads, target, source)``
        float32, each row of the last axis with the sum 1; None where the network has no such attention."""

    def gradients(self, micro_batches: Sequence[Batch]) -> dict[str, np.ndarray]:
        """Gradient of the task's mean loss by canonical name, without dropout and without an update."""

    def collect(self, examples: Iterable[Batch]) -> dict[str, np.ndarray]:
        """Mean over ``examples``, batches of one row each, of the squared gradient of every trained parameter, float64 by
        canonical name: the diagonal of the empirical Fisher information. Without dropout and without an update.

        The loss of an example is the mean over its targets.

        Raises:
            InputError: there is no example.
        """

    def trainable(self) -> dict[str, np.ndarray]:
        """Every trained array by canonical name, float32 copies."""

    def frozen(self) -> Iterator[tuple[str, np.ndarray]]:
        """(canonical name, float32 values) of every parameter that is not trained; nothing where processes divide
        them."""

    def load_trainable(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``trainable``."""

    def state(self) -> dict[str, np.ndarray]:
        """Optimizer state: ``step`` (int64 scalar) and ``<slot>.<name>`` for every slot of
        `common.optimizers.Optimizer` and every trained parameter; that of the method's
        `common.methods.steering.Steering`, where it has one; and what is trained beside the model,
        ``beside.<name>``."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
