"""The contract between the shared half and a backend, and the loader that finds a backend by name.

The training loop and the commands talk to these types only. A backend package (`pytorch_impl`, `mindspore_impl`) exports functions and
classes of the names below; batches are dicts of NumPy arrays and everything that crosses the border is NumPy or plain data.

Batch, classification: ``input_ids``, ``attention_mask``, ``token_type_ids`` (BERT only), all ``(batch, seq)`` int32, ``labels`` ``(batch,)`` int32.
Batch, language modelling: ``input_ids``, ``attention_mask``, ``labels``, all ``(batch, seq)`` int32; ``labels[b, t]`` is the token to be predicted
*after* position t (already shifted). In both, label ``IGNORE`` (-100) is not scored; rows added to fill a batch have every label ``IGNORE`` and
attend to their first token only. Padding is on the right.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from common.compilation import Compilations
from common.distributed import Group
from common.errors import InputError, nearest

__all__ = [
    "BACKENDS",
    "FAST_PATHS",
    "IGNORE",
    "Array",
    "Batch",
    "Engine",
    "EngineSettings",
    "EvalResult",
    "StepHandle",
    "available",
    "load",
    "scored",
    "unscored",
]

IGNORE = -100
Array = np.ndarray
Batch = Mapping[str, np.ndarray]
#: ways of computing the same faster or in less memory, all of which are used unless ``training.plain`` names them
FAST_PATHS = {
    "lora": "a projection and its update as one node, which keeps the input alone (PyTorch)",
    "attention": "a backward pass by hand, which keeps the probabilities or, in PyTorch where they are many, computes them again",
    "last_layer": "BERT's last layer for the classified position alone (whose dropout masks are others then)",
    "products": "float32 products of frozen layers through oneDNN on CPUs that MKL is slow on (PyTorch)",
    "loss": "the language model's loss in pieces, without its logits",
    "fused": "GELU and layer norm with a backward pass by hand (MindSpore); GELU's tanh form as one operator (PyTorch)",
    "memory": "the process keeps what it frees instead of giving it back to the system after every step; for good, once switched on (PyTorch, CPUs)",
    "weights": "in bf16, frozen weights kept in bfloat16 instead of being cast in every pass (PyTorch)",
}
BACKENDS = {"pytorch": "torch", "mindspore": "mindspore"}  #: backend name to the framework it needs


@dataclass(frozen=True)
class EngineSettings:
    """What an engine must know besides the model: the optimizer's constants, arithmetic and device."""

    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    max_grad_norm: float | None
    dtype: str  #: fp32 or bf16; fp64 for references, in PyTorch
    compile: bool | None
    seed: int  #: of the dropout masks
    head_factor: float = 1.0  #: by which the task head's learning rate is larger
    recompute: bool = False  #: keep the inputs of layers alone, and compute the rest again in the backward pass
    plain: tuple[str, ...] = ()  #: `FAST_PATHS` that are switched off
    shard: bool = False  #: divide the frozen parameters among the processes


@dataclass(frozen=True)
class StepHandle:
    """Results of one optimizer step that may still be on the device; ``Engine.fetch`` turns them into floats."""

    loss_sum: Any  #: sum of the cross-entropy over the scored labels of the step
    grad_norm: Any  #: global L2 norm of the mean-loss gradient before clipping
    count: int  #: number of scored labels


@dataclass(frozen=True)
class EvalResult:
    """Loss over one batch and, for classification, the logits ``(batch, labels)`` float32."""

    loss_sum: float
    count: int
    logits: np.ndarray | None


class Engine(Protocol):
    """Runs one adapted model: training steps, evaluation, state. Built as ``Engine(model, plan, settings, group)``.

    Of a training step it computes the micro-batches that fall to its process (`common.distributed.share`); the other methods compute what they are given.
    """

    group: Group
    compilations: Compilations  #: of graphs, since the engine was built

    def train_step(self, micro_batches: Sequence[Batch], learning_rate: float) -> StepHandle:
        """Accumulate the micro-batches, weighted by their scored labels, clip and update once."""

    def fetch(self, handles: Sequence[StepHandle]) -> list[tuple[float, float]]:
        """Return (loss_sum, grad_norm) of each handle as Python floats."""

    def eval_step(self, batch: Batch) -> EvalResult:
        """Loss (and class logits) without gradients or dropout."""

    def logits_at(self, batch: Batch, positions: np.ndarray) -> np.ndarray:
        """Language-model logits ``(batch, vocabulary)`` float32 at one position per row."""

    def trainable(self) -> dict[str, np.ndarray]:
        """Every trained array by canonical name, float32 copies."""

    def load_trainable(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``trainable``."""

    def state(self) -> dict[str, np.ndarray]:
        """Optimizer state: ``step`` (int64 scalar), ``exp_avg.<name>``, ``exp_avg_sq.<name>``."""

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""


def scored(micro_batches: Sequence[Batch]) -> int:
    """Number of scored labels of an optimizer step, by which its loss and gradients are divided."""
    count = sum(int((batch["labels"] != IGNORE).sum()) for batch in micro_batches)
    if count == 0:
        raise InputError("An optimizer step needs at least one scored label; every label of this one is ignored.")
    return count


def unscored(batch: Batch) -> Batch:
    """The same batch without a scored label: its loss and gradients are 0."""
    return {**batch, "labels": np.full_like(batch["labels"], IGNORE)}


def available() -> dict[str, bool]:
    """Which backends have their framework installed; imports neither."""
    return {name: importlib.util.find_spec(framework) is not None for name, framework in BACKENDS.items()}


def load(name: str) -> Any:
    """Import backend ``name`` and return its package.

    Raises:
        InputError: the name is unknown or its framework is not installed.
    """
    if name not in BACKENDS:
        raise InputError(
            f"The backend must be one of {', '.join(BACKENDS)}; received {name!r}.{nearest(name, BACKENDS)}"
        )
    if not available()[name]:
        others = [other for other, there in available().items() if there]
        instead = f", or use --backend {others[0]}, which is installed here" if others else ""
        raise InputError(
            f"Backend {name!r} needs {BACKENDS[name]}, which is not installed. Install it with: pip install 'twinlora[{name}]'{instead}."
        )
    return importlib.import_module(f"{name}_impl")
