"""The adaptation plan: which modules are rewritten, with what, and what is trained, counted before anything is built."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LoraArguments", "Plan", "PlanStep"]


@dataclass(frozen=True)
class LoraArguments:
    """LoRA of one module (Hu et al. 2021, eq. 3): y = x W + scaling * dropout(x) A^T B^T."""

    rank: int
    alpha: float
    dropout: float = 0.0
    rank_stabilized: bool = (
        False  #: Kalajdzievski 2023: alpha / sqrt(rank) keeps the update's size independent of the rank
    )
    slices: tuple[
        tuple[str, int, int], ...
    ] = ()  #: adapted parts of a fused projection, half-open output ranges; empty adapts all of it

    @property
    def scaling(self) -> float:
        """alpha / rank, or alpha / sqrt(rank) when rank-stabilised."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)


@dataclass(frozen=True)
class PlanStep:
    """One rewrite: the module at ``path`` is wrapped by ``method`` with ``arguments``."""

    path: str
    method: str  #: "lora"
    kind: str  #: of the wrapped module: linear, conv1d or embedding
    in_features: int
    out_features: int
    arguments: LoraArguments

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Adapted output ranges; one range over everything when no slices are named."""
        return tuple((start, stop) for _, start, stop in self.arguments.slices) or ((0, self.out_features),)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Adapter parameter names and shapes.

        Linear and conv1d: ``<path>.lora_A`` (slices * rank, in), the slices' A stacked in order, and ``<path>.lora_B`` (adapted outputs, rank), likewise.
        Embedding: ``<path>.lora_embedding_A`` (rank, rows) and ``<path>.lora_embedding_B`` (width, rank), as in PEFT.
        """
        rank = self.arguments.rank
        if self.kind == "embedding":
            return {
                f"{self.path}.lora_embedding_A": (rank, self.in_features),
                f"{self.path}.lora_embedding_B": (self.out_features, rank),
            }
        adapted = sum(stop - start for start, stop in self.ranges)
        return {
            f"{self.path}.lora_A": (len(self.ranges) * rank, self.in_features),
            f"{self.path}.lora_B": (adapted, rank),
        }


@dataclass(frozen=True)
class Plan:
    """The ordered rewrites, and the base parameters trained as they are (head, biases, or everything for full fine-tuning)."""

    method: str  #: lora, full or head
    steps: tuple[PlanStep, ...]
    trained: dict[str, tuple[int, ...]]  #: canonical base parameter name to shape
    head: tuple[str, ...]  #: paths of the task head's modules
    bias: str = "none"
    pattern_paths: tuple[
        tuple[str, tuple[str, ...]], ...
    ] = ()  #: (pattern as written, matched paths), for the coverage table

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every trained parameter, adapters first, with its shape."""
        adapters = {name: shape for step in self.steps for name, shape in step.shapes().items()}
        return adapters | self.trained

    def decayed(self, name: str) -> bool:
        """Whether weight decay applies: to matrices, not to biases and norms (which are the vectors)."""
        return len(self.shapes()[name]) > 1

    def in_head(self, name: str) -> bool:
        """Whether a trained parameter belongs to the task head."""
        return name.rpartition(".")[0] in self.head

    def counts(self) -> dict[str, int]:
        """Trained scalars by component: lora_A, lora_B, head, bias, other, total."""
        counts = dict.fromkeys(("lora_A", "lora_B", "head", "bias", "other"), 0)
        for name, shape in self.shapes().items():
            leaf = name.rsplit(".", 1)[-1]
            if leaf.endswith("_A"):
                component = "lora_A"
            elif leaf.endswith("_B"):
                component = "lora_B"
            elif self.in_head(name):
                component = "head"
            else:
                component = "bias" if leaf == "bias" and self.method != "full" else "other"
            counts[component] += math.prod(shape)
        return counts | {"total": sum(counts.values())}

    def bytes(self, itemsize: int = 4) -> int:
        """Size of the trained parameters at ``itemsize`` bytes each."""
        return itemsize * self.counts()["total"]
