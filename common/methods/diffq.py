"""DiffQ (Défossez et al. 2022): the bits of every few weights are learnt under a penalty on the size of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Constant, Edit, ParameterSpec
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.qat import inserted, quantisable
from common.methods.unfreezing import everything
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.quantisation.pseudo import Groups, quantised

__all__ = ["MEMBER", "DiffqArguments", "DiffqOptions", "SizePenalty"]


@dataclass(frozen=True)
class DiffqOptions(MethodOptions):
    """All have defaults; the numbers are the paper's."""

    targets: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    penalty: float = 1e-3  #: added to the loss for every megabyte (2^20 bytes) of the quantised weights
    group: int = 8  #: weights that share their bits
    least: float = 2.0  #: bits
    most: float = 15.0
    initial: float = 8.0
    rate: float = 1.0  #: by which the learning rate of the bits is larger than that of the weights

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        if not self.penalty >= 0:
            yield "penalty", f"must be 0 or more; received {self.penalty!r}"
        if self.group < 1:
            yield "group", f"must be greater than 0; received {self.group!r}"
        if not 1 <= self.least < self.initial < self.most <= 16:
            received = f"{self.least!r}, {self.initial!r}, {self.most!r}"
            yield "initial", f"must be between least, 1 at the least, and most, 16 at the most; received {received}"
        if not self.rate > 0:
            yield "rate", f"must be greater than 0; received {self.rate!r}"


@dataclass(frozen=True)
class DiffqArguments:
    """Of one module; see `common.quantisation.pseudo`."""

    groups: Groups


class SizePenalty:
    """Implements `common.methods.steering.Steering`: the gradient of penalty * megabytes by every l."""

    def __init__(self, groups: Mapping[str, tuple[Groups, int]], penalty: float):
        self.names = tuple(groups)
        self._groups, self._penalty = dict(groups), penalty

    def gradients(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Float32."""
        found = {name: groups.slope(arrays[name], numbers) for name, (groups, numbers) in self._groups.items()}
        return {name: (self._penalty * slope).astype(np.float32) for name, slope in found.items()}

    def after(
        self, step: int, arrays: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Nothing is changed."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """Nothing is kept."""
        return {}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """There is nothing."""


class Diffq(Method):
    """Quantisation noise is inserted over the modules; every parameter and the bits are trained."""

    name = "diffq"
    Options = DiffqOptions
    mergeable = True

    def plan(self, options: DiffqOptions, spec: ModelSpec) -> Plan:
        """``<path>.bit_logits`` (ceil(numbers / group),) for each module: l.

        Raises:
            InputError: a pattern matches nothing, or a weight holds integers already.
        """
        trained = everything(spec)
        modules, patterns = inserted(options, spec)
        edits = tuple(_edit(module, options) for module in modules)
        return Plan(self.name, edits, trained, spec.head, self.artifact, options, patterns)

    def steering(self, plan: Plan) -> SizePenalty:
        """The penalty."""
        found = {edit.parameters[0].name: (edit.arguments.groups, _numbers(edit.module)) for edit in plan.edits}
        return SizePenalty(found, plan.options.penalty)

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """The weight as it is evaluated, and how far it is from the one that was trained."""
        groups, weight = edit.arguments.groups, base["weight"]
        found = quantised(weight, groups.bits(arrays[edit.parameters[0].name]), groups.size)
        norm = np.linalg.norm(weight.astype(np.float64))
        return {"weight": found}, float(np.linalg.norm(found.astype(np.float64) - weight) / norm) if norm else 0.0

    def findings(self, plan: Plan, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Mean of the rounded bits over the weights, and the size of the quantised modules beside that in float32."""
        total, numbers, size = 0.0, 0, 0.0
        for edit in plan.edits:
            groups, count = edit.arguments.groups, _numbers(edit.module)
            logits = arrays[edit.parameters[0].name]
            total += float((np.rint(groups.bits(logits)) * groups.sizes(count)).sum())
            size += groups.megabytes(logits, count, rounded=True)
            numbers += count
        return {"mean_bits": total / numbers, "megabytes": size, "megabytes_float32": 4 * numbers / 2**20}

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is a weight."""
        return any(map(quantisable, modules))

    def example(self, targets: tuple[str, ...]) -> DiffqOptions:
        """Every weight."""
        return DiffqOptions(self.name, penalty=10.0)

    @property
    def peft(self) -> None:
        """PEFT has no such method."""
        return None


def _numbers(module: ModuleSpec) -> int:
    shape = module.kind.weight(module)
    assert shape is not None  # `inserted` takes no others
    return math.prod(shape)


def _edit(module: ModuleSpec, options: DiffqOptions) -> Edit:
    groups = Groups(options.group, options.least, options.most)
    init = Constant(groups.logit(options.initial))
    shape = (groups.count(_numbers(module)),)
    logits = ParameterSpec(f"{module.path}.bit_logits", shape, "bits", init, decay=False, rate=options.rate)
    return Edit(module.path, "quantisation_noise", "wrap", module, DiffqArguments(groups), (logits,))


MEMBER = Diffq()
