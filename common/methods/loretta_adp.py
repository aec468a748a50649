"""LoRETTA_adp (Yang et al. 2024): bottleneck adapters whose two matrices are tensor trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from common.edits import Edit, ParameterSpec, Zeros
from common.methods.loretta import TrainMethod, TrainOptions
from common.methods.targets import Match
from common.methods.trains import Train, core_parameters

__all__ = ["MEMBER", "AdapterArguments", "AdapterOptions"]


@dataclass(frozen=True)
class AdapterOptions(TrainOptions):
    """Under BERT's names the authors' places are ``["*.output.dense"]``, behind attention and behind the feed-forward
    layer of every block, and ``replaced: ["*.pooler.dense"]``."""

    size: int = 64  #: of the bottleneck
    activation: Literal["relu", "tanh", "gelu"] = "relu"

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        yield from super().problems()
        if self.size < 1:
            yield "size", f"must be greater than 0; received {self.size!r}"


@dataclass(frozen=True)
class AdapterArguments:
    """y + U f(D y + c) + d, where y is the layer's output and D and U are trains."""

    down: Train
    up: Train
    activation: str

    def trains(self) -> dict[str, Train]:
        """By the prefix of their cores' names."""
        return {"down": self.down, "up": self.up}


class LorettaAdapters(TrainMethod):
    """It cannot be merged: f is not linear."""

    name = "loretta_adp"
    Options = AdapterOptions

    def edit(self, found: Match, options: Any) -> Edit:
        """``down_core_0`` ..., ``down_bias``, ``up_core_0`` ..., ``up_bias``; the last core of U is zero, so that the
        adapted model starts as the base model."""
        path, width, size = found.module.path, found.module.out_features, options.size
        down, up = options.train(width, size), options.train(size, width)
        parameters = (
            *core_parameters(f"{path}.down", down, "adapter"),
            ParameterSpec(f"{path}.down_bias", (size,), "adapter", Zeros(), decay=False),
            *core_parameters(f"{path}.up", up, "adapter", zero=options.init == "zero"),
            ParameterSpec(f"{path}.up_bias", (width,), "adapter", Zeros(), decay=False),
        )
        arguments = AdapterArguments(down, up, options.activation)
        return Edit(path, self.name, "wrap", found.module, arguments, parameters)


MEMBER = LorettaAdapters()
