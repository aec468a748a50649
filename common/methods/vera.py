"""VeRA (Kopiczko et al. 2024): two frozen random matrices that all layers share, and two trained vectors for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from common.edits import Constant, Edit, ParameterSpec, Zeros
from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.methods.targets import Match, Target, match
from common.methods.unfreezing import biases, head_parameters, merged_groups
from common.models.specs import ModelSpec
from common.porting.generator import Generator

__all__ = ["MEMBER", "Projections", "VeraArguments", "VeraOptions", "projections"]


@dataclass(frozen=True)
class VeraOptions(MethodOptions):
    """``rank`` and ``targets`` have no default. A rank is much larger than LoRA's, since it costs one number a layer."""

    targets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rank: int | None = None
    d_initial: float = 0.1  #: start value of the vector between the matrices
    dropout: float = 0.0
    projection_seed: int = 0  #: of the matrices; PEFT's projection_prng_key
    save_projection: bool = True  #: the adapter's file holds the matrices
    bias: Literal["none", "all", "vera_only"] = "none"

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        for name in ("rank", "targets"):
            if not getattr(self, name):
                yield name, f"must be given for method {self.method}; it has no default"
        if self.rank is not None and self.rank < 0:
            yield "rank", f"must be greater than 0; received {self.rank!r}"
        if not -(2**63) <= self.projection_seed < 2**64:
            yield (
                "projection_seed",
                f"must be a seed of torch, from -2^63 to 2^64 - 1; received {self.projection_seed!r}",
            )
        if not 0 <= self.dropout < 1:
            yield "dropout", f"must be at least 0 and less than 1; received {self.dropout!r}"


@dataclass(frozen=True)
class Projections:
    """Which random matrices: A ``(rank, columns)`` and B ``(rows, rank)``, as large as the largest adapted layer."""

    seed: int
    rank: int
    columns: int
    rows: int


@lru_cache(maxsize=4)
def projections(which: Projections) -> tuple[np.ndarray, np.ndarray]:
    """A and B, float32: Kaiming uniform, with the numbers that PEFT has from torch's generator of the same seed.

    They are shared: do not write to them.
    """
    generator = Generator().manual_seed(which.seed)
    shapes = ((which.rank, which.columns), (which.rows, which.rank))
    found = []
    for shape in shapes:
        bound = math.sqrt(3.0) * (math.sqrt(2.0) / math.sqrt(shape[1]))
        found.append(generator.uniform(math.prod(shape), -bound, bound).reshape(shape))
        found[-1].setflags(write=False)
    return found[0], found[1]


@dataclass(frozen=True)
class VeraArguments:
    """y = W x + b + lambda_b * (B (lambda_d * (A dropout(x)))), with the first columns of A and the first rows of B."""

    projections: Projections
    dropout: float

    @property
    def rank(self) -> int:
        """Of the matrices."""
        return self.projections.rank


class Vera(Method):
    """Wraps the targets; trains their two vectors, the task head and, where asked for, biases."""

    name = "vera"
    Options = VeraOptions
    mergeable = True

    def plan(self, options: VeraOptions, spec: ModelSpec) -> Plan:
        """``<path>.vera_lambda_d`` (rank,) and ``<path>.vera_lambda_b`` (out,) for each target; lambda_b = 0, so that the
        adapted model starts as the base model.

        Raises:
            InputError: a pattern matches nothing, or names slices.
        """
        found = match([Target(pattern) for pattern in options.targets], options.exclude, spec, lambda m: m.kind.matrix)
        assert options.rank is not None  # `VeraOptions.problems`
        columns, rows = (max(getattr(one.module, side) for one in found) for side in ("in_features", "out_features"))
        which = Projections(options.projection_seed, options.rank, columns, rows)
        edits = {one.module.path: self._edit(one, options, which) for one in found}
        patterns: dict[str, tuple[str, ...]] = {}
        for one in found:
            patterns[one.target.pattern] = (*patterns.get(one.target.pattern, ()), one.module.path)
        trained = {"none": (), "all": biases(spec), "vera_only": biases(spec, edits)}[options.bias]
        unfrozen = merged_groups(head_parameters(spec), trained)
        ordered = tuple(edits[module.path] for module in spec.modules if module.path in edits)
        return Plan(self.name, ordered, unfrozen, spec.head, self.artifact, options, tuple(patterns.items()))

    def _edit(self, found: Match, options: VeraOptions, which: Projections) -> Edit:
        path, module = found.module.path, found.module
        if found.slices:
            raise InputError(
                f"VeRA adapts whole layers; {found.target.pattern!r} names slices of {path}. Leave out the brackets."
            )
        d = ParameterSpec(
            f"{path}.vera_lambda_d", (which.rank,), "vera_lambda_d", Constant(options.d_initial), decay=False
        )
        b = ParameterSpec(f"{path}.vera_lambda_b", (module.out_features,), "vera_lambda_b", Zeros(), decay=False)
        return Edit(path, self.name, "wrap", module, VeraArguments(which, options.dropout), (d, b))

    def example(self, targets: tuple[str, ...]) -> VeraOptions:
        """Rank 16 of the usual targets, whole."""
        whole = tuple(dict.fromkeys(target.partition("[")[0] for target in targets))
        return VeraOptions(self.name, whole, rank=16)

    def delta(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """lambda_b B and lambda_d A, in the layout of the module's weight."""
        module, (a, b) = edit.module, projections(edit.arguments.projections)
        d, scale = (arrays[parameter.name].astype(np.float64)[:, None] for parameter in edit.parameters)
        left, right = scale * b[: module.out_features], d * a[:, : module.in_features]
        return (right.T, left.T) if module.kind.transposed else (left, right)

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Every adapted module by its own path."""
        from common.methods.peft.vera import section

        found = section(settings, shapes)
        return None if found is None else {"method": self.name, **found}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's own format."""
        from common.methods.peft.vera import VeraFormat

        return VeraFormat()


MEMBER = Vera()
