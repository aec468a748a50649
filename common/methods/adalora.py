"""AdaLoRA (Zhang et al. 2023): updates in the form of a singular value decomposition, whose ranks are distributed over
the layers by importance while training goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.edits import Edit, Normal, ParameterSpec, Zeros
from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.methods.ranks import RankAllocation, Schedule
from common.methods.targets import Match, Target, match
from common.methods.unfreezing import head_parameters
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "AdaloraArguments", "AdaloraOptions"]

_STD = 0.02  #: of the start values of P and Q, as in PEFT


@dataclass(frozen=True)
class AdaloraOptions(MethodOptions):
    """``targets``, ``alpha`` and ``total_steps`` have no default; the others' are PEFT's."""

    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    initial_rank: int = 12  #: of every layer, at first
    target_rank: int = 8  #: of a layer on average, at last
    alpha: float | None = None
    dropout: float = 0.0
    total_steps: int | None = None  #: of the training
    initial_steps: int = 0  #: before ranks are reduced
    final_steps: int = 0  #: after the last reduction
    interval: int = 1  #: steps between two reductions
    beta1: float = 0.85  #: of the average of sensitivities
    beta2: float = 0.85  #: of the average of their uncertainty
    orthogonality: float = 0.5  #: weight of the penalty that keeps the columns of P and the rows of Q orthonormal

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        for name in ("targets", "alpha", "total_steps"):
            if not getattr(self, name):
                yield name, f"must be given for method {self.method}; it has no default"
        for name in ("initial_rank", "target_rank", "interval"):
            if getattr(self, name) < 1:
                yield name, f"must be greater than 0; received {getattr(self, name)!r}"
        if self.alpha is not None and self.alpha < 0:
            yield "alpha", f"must be greater than 0; received {self.alpha!r}"
        if self.target_rank > self.initial_rank:
            yield "target_rank", f"must be at most initial_rank, {self.initial_rank}; received {self.target_rank}"
        for name in ("beta1", "beta2"):
            if not 0 < getattr(self, name) < 1:
                yield name, f"must be between 0 and 1; received {getattr(self, name)!r}"
        if not 0 <= self.dropout < 1:
            yield "dropout", f"must be at least 0 and less than 1; received {self.dropout!r}"
        for name in ("orthogonality", "initial_steps", "final_steps"):
            if getattr(self, name) < 0:
                yield name, f"must be 0 or more; received {getattr(self, name)!r}"
        if self.total_steps and self.initial_steps >= self.total_steps - self.final_steps:
            yield (
                "total_steps",
                f"must exceed initial_steps + final_steps, so that ranks can be reduced; received {self.total_steps}",
            )


@dataclass(frozen=True)
class AdaloraArguments:
    """y = W x + b + scaling * P (e * (Q dropout(x)))."""

    rank: int  #: at first; pruned directions keep their place, with e = 0
    alpha: float
    dropout: float

    @property
    def scaling(self) -> float:
        """alpha / rank, with PEFT's guard against a rank of zero."""
        return self.alpha / (self.rank + 1e-5)


class Adalora(Method):
    """Wraps the targets; trains their decompositions and the task head."""

    name = "adalora"
    Options = AdaloraOptions
    mergeable = True

    def plan(self, options: AdaloraOptions, spec: ModelSpec) -> Plan:
        """``<path>.lora_A`` Q (rank, in), ``<path>.lora_E`` e (rank, 1) and ``<path>.lora_B`` P (out, rank) for each
        target, as in PEFT; e = 0, so that the adapted model starts as the base model.

        Raises:
            InputError: a pattern matches nothing, or names slices, or the rank is above the smaller side of a matrix.
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

    def _edit(self, found: Match, options: AdaloraOptions) -> Edit:
        path, module, rank = found.module.path, found.module, options.initial_rank
        if found.slices:
            raise InputError(
                f"AdaLoRA adapts whole layers; {found.target.pattern!r} names slices of {path}. Leave out the brackets."
            )
        if rank > min(module.in_features, module.out_features):
            raise InputError(
                f"A rank above the smaller side of the matrix adds nothing; {path} is {module.in_features} x "
                f"{module.out_features} and initial_rank is {rank}."
            )
        assert options.alpha is not None  # `AdaloraOptions.problems`
        parameters = (
            ParameterSpec(f"{path}.lora_A", (rank, module.in_features), "lora_A", Normal(_STD)),
            ParameterSpec(f"{path}.lora_E", (rank, 1), "lora_E", Zeros()),
            ParameterSpec(f"{path}.lora_B", (module.out_features, rank), "lora_B", Normal(_STD)),
        )
        arguments = AdaloraArguments(rank, options.alpha, options.dropout)
        return Edit(path, self.name, "wrap", module, arguments, parameters)

    def steering(self, plan: Plan) -> RankAllocation:
        """The penalty, and the distribution of the ranks."""
        options = plan.options
        triples = tuple(tuple(parameter.name for parameter in edit.parameters) for edit in plan.edits)
        ranks = tuple(edit.arguments.rank for edit in plan.edits)
        schedule = Schedule(
            sum(ranks),
            options.target_rank * len(ranks),
            options.total_steps,
            options.initial_steps,
            options.final_steps,
            options.interval,
        )
        shapes = {parameter.name: parameter.shape for edit in plan.edits for parameter in edit.parameters}
        return RankAllocation(triples, shapes, schedule, options.beta1, options.beta2, options.orthogonality)

    def check_length(self, options: AdaloraOptions, steps: int) -> None:
        """``total_steps`` must be the training's."""
        if options.total_steps != steps:
            raise InputError(
                f"adaptation.total_steps says when the ranks are reduced and must be the steps of the training, {steps}; "
                f"received {options.total_steps}."
            )

    def example(self, targets: tuple[str, ...]) -> AdaloraOptions:
        """Rank 4, later 2 on average, of the usual targets, whole."""
        whole = tuple(dict.fromkeys(target.partition("[")[0] for target in targets))
        return AdaloraOptions(
            self.name, whole, initial_rank=4, target_rank=2, alpha=8.0, total_steps=40, initial_steps=5, final_steps=10
        )

    def delta(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """scaling * P diag(e) and Q, in the layout of the module's weight."""
        q, e, p = (arrays[parameter.name].astype(np.float64) for parameter in edit.parameters)
        left = edit.arguments.scaling * p * e.T
        return (q.T, left.T) if edit.module.kind.transposed else (left, q)

    def findings(self, plan: Plan, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Directions that are left in all layers, and how many were wanted: the best state may be of a step before the
        last reduction, which is noted."""
        left = sum(int(np.count_nonzero(arrays[edit.parameters[1].name])) for edit in plan.edits)
        wanted = plan.options.target_rank * len(plan.edits)
        found = {"directions": left, "directions_wanted": wanted}
        if left <= wanted:
            return found
        return found | {
            "note": f"the best state is of a step before the last reduction of ranks: it has {left} directions, and "
            f"adaptation.target_rank stands for {wanted}. With more adaptation.final_steps a later state can be the best."
        }

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Every adapted module by its own path."""
        from common.methods.peft.adalora import section

        found = section(settings, shapes)
        return None if found is None else {"method": self.name, **found}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's own format."""
        from common.methods.peft.adalora import AdaloraFormat

        return AdaloraFormat()


MEMBER = Adalora()
