"""Bottleneck adapters (Houlsby et al. 2019; Pfeiffer et al. 2020): a small network with a residual connection behind
frozen layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from common.edits import Edit, ParameterSpec, Uniform, Zeros
from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.targets import Match, Target, match
from common.methods.unfreezing import head_parameters
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "BottleneckArguments", "BottleneckOptions"]


@dataclass(frozen=True)
class BottleneckOptions(MethodOptions):
    """Under BERT's names ``["*.output.dense"]`` are the places of Houlsby et al., behind attention and behind the
    feed-forward layer of every block; with ``exclude: ["*.attention.output.dense"]`` those of Pfeiffer et al. Under
    GPT-2's names ``["*.c_proj"]`` and ``["*.mlp.c_proj"]``."""

    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    size: int = 64  #: of the bottleneck
    activation: Literal["gelu", "relu"] = "gelu"

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        if not self.targets:
            yield "targets", f"must be given for method {self.method}; it has no default"
        if self.size < 1:
            yield "size", f"must be greater than 0; received {self.size!r}"


@dataclass(frozen=True)
class BottleneckArguments:
    """y + U f(D y + c) + d, where y is the layer's output."""

    size: int
    activation: str = "gelu"


class Bottleneck(Method):
    """Trains the adapters and the task head. It cannot be merged: f is not linear. PEFT has no such method."""

    name = "bottleneck"
    Options = BottleneckOptions

    def plan(self, options: BottleneckOptions, spec: ModelSpec) -> Plan:
        """One adapter behind each target.

        Raises:
            InputError: a pattern matches nothing, or names slices.
        """
        found = match([Target(pattern) for pattern in options.targets], options.exclude, spec, lambda m: m.kind.matrix)
        edits = {one.module.path: self._edit(one, options) for one in found}
        patterns: dict[str, tuple[str, ...]] = {}
        for one in found:
            patterns[one.target.pattern] = (*patterns.get(one.target.pattern, ()), one.module.path)
        ordered = tuple(edits[module.path] for module in spec.modules if module.path in edits)
        return Plan(
            self.name, ordered, head_parameters(spec), spec.head, self.artifact, options, tuple(patterns.items())
        )

    def _edit(self, found: Match, options: BottleneckOptions) -> Edit:
        """D ~ U(-1/sqrt(out), 1/sqrt(out)) and U = 0, so that the adapted model starts as the base model."""
        path, width, size = found.module.path, found.module.out_features, options.size
        if found.slices:
            raise InputError(
                f"A bottleneck adapter stands behind a whole layer; {found.target.pattern!r} names slices of {path}. "
                "Leave out the brackets."
            )
        down, up = Uniform(1.0 / math.sqrt(width)), Zeros()
        parameters = (
            ParameterSpec(f"{path}.adapter_down", (size, width), "adapter", down),
            ParameterSpec(f"{path}.adapter_down_bias", (size,), "adapter", Zeros(), decay=False),
            ParameterSpec(f"{path}.adapter_up", (width, size), "adapter", up),
            ParameterSpec(f"{path}.adapter_up_bias", (width,), "adapter", Zeros(), decay=False),
        )
        arguments = BottleneckArguments(size, options.activation)
        return Edit(path, "bottleneck", "wrap", found.module, arguments, parameters)

    def example(self, targets: tuple[str, ...]) -> BottleneckOptions:
        """Size 8 behind the usual targets, whole."""
        whole = tuple(dict.fromkeys(target.partition("[")[0] for target in targets))
        return BottleneckOptions(self.name, whole, size=8)

    @property
    def peft(self) -> None:
        """PEFT has no such method."""
        return None


MEMBER = Bottleneck()
