"""LoRETTA_rep (Yang et al. 2024): LoRA whose two matrices are tensor trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Edit
from common.methods.loretta import DENSE, TrainMethod, TrainOptions, cores_of
from common.methods.targets import Match
from common.methods.trains import Train, core_parameters

__all__ = ["MEMBER", "UpdateArguments", "UpdateOptions"]


@dataclass(frozen=True)
class UpdateOptions(TrainOptions):
    """The authors adapt queries and values, and replace the pooler's dense layer."""

    rank: int = 8  #: between the two matrices
    alpha: float = 16.0
    dropout: float = 0.0

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        yield from super().problems()
        for name in ("rank", "alpha"):
            if not getattr(self, name) > 0:
                yield name, f"must be greater than 0; received {getattr(self, name)!r}"
        if not 0 <= self.dropout < 1:
            yield "dropout", f"must be at least 0 and less than 1; received {self.dropout!r}"


@dataclass(frozen=True)
class UpdateArguments:
    """y = W x + b + alpha / rank * B A dropout(x), where A (in, rank) and B (rank, out) are trains."""

    a: Train
    b: Train
    rank: int
    alpha: float
    dropout: float

    def trains(self) -> dict[str, Train]:
        """By the prefix of their cores' names."""
        return {"lora_A": self.a, "lora_B": self.b}

    @property
    def scaling(self) -> float:
        """alpha / rank."""
        return self.alpha / self.rank


class LorettaUpdates(TrainMethod):
    """Merged by forming the two matrices."""

    name = "loretta_rep"
    Options = UpdateOptions
    mergeable = True

    def edit(self, found: Match, options: Any) -> Edit:
        """``lora_A_core_0`` ..., ``lora_B_core_0`` ...; the last core of B is zero, so that the adapted model starts as
        the base model."""
        module = found.module
        a, b = options.train(module.in_features, options.rank), options.train(options.rank, module.out_features)
        parameters = (
            *core_parameters(f"{module.path}.lora_A", a, "lora_A"),
            *core_parameters(f"{module.path}.lora_B", b, "lora_B", zero=options.init == "zero"),
        )
        arguments = UpdateArguments(a, b, options.rank, options.alpha, options.dropout)
        return Edit(module.path, self.name, "wrap", module, arguments, parameters)

    def delta(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """The two matrices in the layout of the module's weight; None of a replaced layer."""
        if edit.layer == DENSE:
            return None
        arguments = edit.arguments
        a = arguments.a.matrix(cores_of(f"{edit.path}.lora_A", arguments.a, arrays))  # (in, rank)
        b = arguments.scaling * arguments.b.matrix(cores_of(f"{edit.path}.lora_B", arguments.b, arrays))  # (rank, out)
        return (a, b) if edit.module.kind.transposed else (b.T, a.T)


MEMBER = LorettaUpdates()
