"""LoRA (Hu et al. 2021): a frozen weight plus a low-rank update, of whole modules or of slices of fused projections."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from common.edits import Edit, Given, Init, Normal, ParameterSpec, Shared, Uniform, Zeros
from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.methods.starts import FROM_WEIGHT, Start, random_start, start_of, weight_of
from common.methods.targets import Match, Target, match
from common.methods.unfreezing import biases, head_parameters, merged_groups
from common.methods.windows import largest_rank, refuse_dropout, window_sizes
from common.models.modules import ModuleSpec, Slices, slice_features
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "Lora", "LoraArguments", "LoraOptions", "edit_of", "placed_b", "placement"]


@dataclass(frozen=True)
class LoraOptions(MethodOptions):
    """``rank``, ``alpha`` and ``targets`` have no default."""

    targets: tuple[Target, ...] = ()
    exclude: tuple[str, ...] = ()
    rank: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    rank_stabilized: bool = False  #: scale alpha / sqrt(rank) instead of alpha / rank
    bias: Literal["none", "all", "lora_only"] = "none"
    init: Literal["kaiming", "gaussian", "pissa", "olora"] = "kaiming"  #: start values, see `common.methods.starts`
    lora_plus_ratio: float = 1.0  #: LoRA+ (Hayou et al. 2024): by which the learning rate of B is larger than that of A
    same_start: bool = False  #: every layer starts with one A, as in Hu et al.'s GPT-2, whose layers are copies of one

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is missing or out of range."""
        for name in ("rank", "alpha", "targets"):
            value = getattr(self, name)
            if not value:
                yield name, f"must be given for method {self.method}; it has no default"
            elif name != "targets" and not value > 0:
                yield name, f"must be greater than 0; received {value!r}"
        if not 0 <= self.dropout < 1:
            yield "dropout", f"must be at least 0 and less than 1; received {self.dropout!r}"
        if not self.lora_plus_ratio > 0:
            yield "lora_plus_ratio", f"must be greater than 0; received {self.lora_plus_ratio!r}"
        if self.same_start and self.init in FROM_WEIGHT:
            yield "same_start", f"is of random start values; init: {self.init} takes them from each layer's weight"
        for index, target in enumerate(self.targets):
            for name in ("rank", "alpha"):
                value = getattr(target, name)
                if value is not None and not value > 0:
                    yield f"targets.{index}.{name}", f"must be greater than 0; received {value!r}"


@dataclass(frozen=True)
class LoraArguments:
    """LoRA of one module (Hu et al. 2021, eq. 3): y = x W + scaling * dropout(x) A^T B^T."""

    rank: int
    alpha: float
    dropout: float = 0.0
    rank_stabilized: bool = False  #: Kalajdzievski 2023: alpha / sqrt(rank) keeps the update's size independent of rank
    slices: Slices = ()  #: adapted parts of a fused projection; empty adapts all of it
    out_features: int = 0  #: of the module
    start: Start | None = field(default=None, compare=False)  #: what is taken off, where A and B start from the weight

    @property
    def scaling(self) -> float:
        """alpha / rank, or alpha / sqrt(rank) when rank-stabilised."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """The output features of every adapted slice; of one part with every feature when no slices are named."""
        return tuple(slice_features(self.slices).values()) or (np.arange(self.out_features, dtype=np.int32),)


def edit_of(
    module: ModuleSpec,
    arguments: LoraArguments,
    init: str = "kaiming",
    weight: np.ndarray | None = None,
    ratio: float = 1.0,
) -> Edit:
    """The edit of ``module``.

    A matrix has ``<path>.lora_A`` (slices * rank, in), the slices' A stacked in order, and ``<path>.lora_B`` (adapted
    outputs, rank), likewise. An embedding has ``<path>.lora_embedding_A`` (rank, rows) and ``<path>.lora_embedding_B``
    (width, rank), as in PEFT. A ~ U(-1/sqrt(in), 1/sqrt(in)), which is Kaiming uniform with a = sqrt(5) as in loralib
    and PEFT, and B = 0; of an embedding A = 0 and B ~ N(0, 1). Either way the adapted model starts as the base model.
    Of a convolution see `common.methods.windows`.

    Args:
        init: other start values, see `common.methods.starts`.
        weight: of the base model, as stored; for start values that are made of it.
        ratio: by which the learning rate of B is larger; that of an embedding's stays.
    """
    arguments = LoraArguments(**{**vars(arguments), "out_features": module.out_features})
    rank, path = arguments.rank, module.path
    if module.kind.windowed:
        rows, columns, inner = window_sizes(module, rank)
        a = ParameterSpec(f"{path}.lora_A", (inner, columns), "lora_A", random_start(init, rank, columns))
        b = ParameterSpec(f"{path}.lora_B", (rows, inner), "lora_B", Zeros(), rate=ratio)
        return Edit(path, "lora_convolution", "wrap", module, arguments, (a, b))
    if module.kind.lookup:
        a = ParameterSpec(f"{path}.lora_embedding_A", (rank, module.in_features), "lora_A", Zeros())
        b = ParameterSpec(f"{path}.lora_embedding_B", (module.out_features, rank), "lora_B", Normal(1.0))
        return Edit(path, "lora_embedding", "wrap", module, arguments, (a, b))
    adapted = sum(map(len, arguments.parts))
    shape = (len(arguments.parts) * rank, module.in_features)
    first: Init = random_start(init, rank, module.in_features)
    second: Init = Zeros()
    if init in FROM_WEIGHT:
        assert weight is not None
        start = start_of(init, module, arguments, weight)
        arguments, first, second = replace(arguments, start=start), Given(start.a), Given(start.b)
    a = ParameterSpec(f"{path}.lora_A", shape, "lora_A", first)
    b = ParameterSpec(f"{path}.lora_B", (adapted, rank), "lora_B", second, rate=ratio)
    return Edit(path, "lora", "wrap", module, arguments, (a, b))


def placement(edit: Edit) -> tuple[np.ndarray, np.ndarray]:
    """How B is spread over a fused output: P(B) = tile(B[rows], slices) * mask, ``(out, slices * rank)``.

    Returns:
        rows: int32 ``(out,)``, the row of B for each output feature (any row where the feature is not adapted).
        mask: float32 ``(out, slices * rank)``, 1 where the feature's slice owns the column, 0 elsewhere.
    """
    rank, parts = edit.arguments.rank, edit.arguments.parts
    rows = np.zeros(edit.module.out_features, np.int32)
    mask = np.zeros((edit.module.out_features, len(parts) * rank), np.float32)
    row = 0
    for index, features in enumerate(parts):
        rows[features] = np.arange(row, row + len(features))
        mask[features, index * rank : (index + 1) * rank] = 1.0
        row += len(features)
    return rows, mask


def placed_b(edit: Edit, b: np.ndarray) -> np.ndarray:
    """P(B): (adapted outputs, rank) to (out, slices * rank)."""
    rows, mask = placement(edit)
    return np.tile(b[rows], (1, len(edit.arguments.parts))) * mask.astype(b.dtype)


class Lora(Method):
    """Wraps the targets; trains their updates, the task head and, where asked for, biases."""

    name = "lora"
    Options = LoraOptions
    mergeable = True

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is a matrix or a table."""
        return any(module.kind.adaptable for module in modules)

    def plan(self, options: LoraOptions, spec: ModelSpec) -> Plan:
        """Resolve the targets; see `common.methods.targets.match`."""
        matches = match(options.targets, options.exclude, spec, lambda m: m.kind.adaptable or m.kind.windowed)
        edits = {found.module.path: self.edit(found, options, spec) for found in matches}
        if options.same_start:
            edits = {path: _same_start(edit) for path, edit in edits.items()}
        if spec.task:  # its adapters are written in PEFT's format, which not every convolution has
            for edit in (edit for edit in edits.values() if edit.module.kind.windowed):
                self.peft.shapes(edit)
        trained = {"none": (), "all": biases(spec), "lora_only": biases(spec, edits)}[options.bias]
        ordered = tuple(edits[module.path] for module in spec.modules if module.path in edits)
        patterns: dict[str, tuple[str, ...]] = {}
        for found in matches:
            pattern = found.target.pattern
            patterns[pattern] = (*patterns.get(pattern, ()), found.module.path)
        unfrozen = merged_groups(head_parameters(spec), trained)
        return Plan(self.name, ordered, unfrozen, spec.head, self.artifact, options, tuple(patterns.items()))

    def edit(self, found: Match, options: LoraOptions, spec: ModelSpec) -> Edit:
        """The edit of one matched module.

        Raises:
            InputError: ``init`` takes the start from a weight, and the module has none of its own.
        """
        module, weight = found.module, None
        if options.init in FROM_WEIGHT:
            weight = weight_of(module, options.init, spec)
        return edit_of(module, self.arguments(found, options), options.init, weight, options.lora_plus_ratio)

    def arguments(self, found: Match, options: LoraOptions) -> LoraArguments:
        """The settings of one matched module.

        Raises:
            InputError: the rank is above the smaller side of the matrix.
        """
        target, module = found.target, found.module
        rank = target.rank or options.rank
        alpha = target.alpha if target.alpha is not None else options.alpha
        assert rank is not None  # `LoraOptions.problems`
        assert alpha is not None
        if module.kind.windowed:
            refuse_dropout(module, options.dropout)
            largest = largest_rank(module)
        else:
            widths = [len(features) for features in slice_features(found.slices).values()] or [module.out_features]
            largest = min(module.in_features, *widths)
        if rank > largest:
            raise InputError(
                f"A rank above the smaller side of the matrix adds nothing; {module.path} is "
                f"{module.in_features} x {module.out_features} and rank is {rank}. Use at most {largest}."
            )
        return LoraArguments(rank, alpha, options.dropout, options.rank_stabilized, found.slices)

    def example(self, targets: tuple[str, ...]) -> LoraOptions:
        """Rank 8 of the usual targets."""
        return LoraOptions(self.name, tuple(map(Target, targets)), rank=8, alpha=16.0)

    def delta(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        """scaling * B A in the layout of the module's stored weight."""
        return self.factors(edit, arrays)

    def fold(
        self, edit: Edit, base: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], float]:
        """The weight with the update; that of a convolution as the matrix that `window_sizes` makes of it."""
        if not edit.module.kind.windowed:
            return super().fold(edit, base, arrays)
        from common.methods.merge import merged_weight

        left, right = self.factors(edit, arrays)
        weight, error = merged_weight(base["weight"].reshape(len(left), -1), (left, right))
        return {"weight": weight.reshape(base["weight"].shape)}, error

    def factors(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """scaling * B A in the layout of the module's stored weight."""
        scaling = edit.arguments.scaling
        a, b = (arrays[parameter.name].astype(np.float64) for parameter in edit.parameters[:2])
        start = edit.arguments.start
        if start is not None:
            b = np.concatenate([placed_b(edit, b), -placed_b(edit, start.b.astype(np.float64))], 1)
            a = np.concatenate([a, start.a.astype(np.float64)])
            return (scaling * a.T, b.T) if edit.module.kind.transposed else (scaling * b, a)
        if edit.module.kind.windowed:
            return scaling * b, a  # see `window_sizes`
        if edit.module.kind.lookup:
            return scaling * a.T, b.T  # (rows, rank) (rank, width)
        b = placed_b(edit, b)
        if edit.module.kind.transposed:
            return scaling * a.T, b.T  # (in, rank) (rank, out)
        return scaling * b, a  # (out, rank) (rank, in)

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Every adapted module by its own path, with its rank and alpha."""
        from common.methods.peft.lora import section

        found = section(settings, shapes)
        return None if found is None or settings.get("use_dora") else {"method": self.name, **found}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's own LoRA format."""
        from common.methods.peft.lora import LoraFormat

        return LoraFormat()


def _same_start(edit: Edit) -> Edit:
    """Start values that do not depend on the number of the layer."""

    def shared(parameter: ParameterSpec) -> ParameterSpec:
        if not isinstance(parameter.init, Uniform | Normal):
            return parameter
        return replace(parameter, init=Shared(parameter.init, re.sub(r"\.\d+\.", ".*.", parameter.name)))

    return replace(edit, parameters=tuple(map(shared, edit.parameters)))


MEMBER = Lora()
