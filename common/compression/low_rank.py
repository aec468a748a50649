"""What the transforms into two thin factors share: their options, the decomposition of a weight, and the choice of
ranks, for each module or for all modules together."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from common.compression.matrices import outputs_first, refuse, relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Statistics, Transform, TransformOptions, matches, size_problems
from common.edits import Edit
from common.methods.targets import Match
from common.models.layers.factored import MEMBER as FACTORED_LAYER
from common.models.layers.factored import FactoredArguments, break_even_rank
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.models.structure import restructured

__all__ = ["Decomposition", "LowRank", "LowRankOptions", "budgeted"]

_CHOICES = ("rank", "share", "energy", "budget")
_RULE = "Every target must have a rank at which its factors are smaller"


@dataclass(frozen=True)
class LowRankOptions(TransformOptions):
    """One of ``rank``, ``share``, ``energy`` and ``budget`` is given; a target's own ``rank`` goes before it."""

    rank: int | None = None
    share: float | None = None  #: of a module's weight, the parameters that its factors may hold
    energy: float | None = None  #: of the sum of squared singular values, what the smallest sufficient rank keeps
    budget: float | None = None  #: of the weights of all targets together, the parameters that may be left
    larger: bool = False  #: allow ranks of which the factors hold more than the weight

    def problems(self) -> Iterator[tuple[str, str]]:
        """None or several of the choices, or a value out of range."""
        yield from super().problems()
        yield from size_problems(self, _CHOICES)
        if self.larger and self.budget is not None:
            yield (
                "larger",
                "has no meaning with budget, which keeps a weight whole where its factors would be larger; remove it",
            )


@dataclass(frozen=True)
class Decomposition:
    """U S V^T of a weight W ``(out, in)``, of an embedding ``(width, rows)``, whose columns are weighted by ``scale``."""

    matrix: np.ndarray  #: W
    u: np.ndarray
    values: np.ndarray
    vt: np.ndarray
    scale: np.ndarray | None = None  #: (in,)

    @classmethod
    def of(cls, matrix: np.ndarray, scale: np.ndarray | None = None) -> Decomposition:
        """Of W, or of W diag(scale)."""
        weighted = matrix if scale is None else matrix * scale
        u, values, vt = np.linalg.svd(weighted, full_matrices=False)
        return cls(matrix, u, values, vt, scale)

    def factors(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """U sqrt(S) ``(out, rank)`` and sqrt(S) V^T / scale ``(rank, in)``, float64: of about the same size, so that
        rounding and weight decay treat them alike."""
        size = 1.0 if self.scale is None else float(np.sqrt(np.mean(self.scale**2)))
        root = np.sqrt(self.values[:rank] / size)
        inner = root[:, None] * self.vt[:rank]
        return self.u[:, :rank] * root, inner if self.scale is None else inner * (size / self.scale)

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps this share of the sum of squares."""
        kept = np.cumsum(self.values**2)
        return int(np.searchsorted(kept, energy * kept[-1])) + 1 if kept[-1] else 1

    @cached_property
    def norm(self) -> float:
        """||W||."""
        return float(np.linalg.norm(self.matrix))

    def weighted_error(self, rank: int) -> float:
        """||(W - W') diag(scale)|| / ||W diag(scale)||, from the discarded values."""
        lost = math.sqrt((self.values[rank:] ** 2).sum())
        return relative(lost, math.sqrt((self.values**2).sum()))

    def error(self, rank: int) -> float:
        """||W - W'|| / ||W||."""
        if self.scale is None:
            return self.weighted_error(rank)
        outer, inner = self.factors(rank)
        return relative(float(np.linalg.norm(self.matrix - outer @ inner)), self.norm)


def budgeted(
    modules: Sequence[ModuleSpec], values: Sequence[np.ndarray], limit: int, fixed: Mapping[int, int]
) -> list[int | None] | None:
    """Ranks of ``modules`` whose parameters are at most ``limit``: every module gets rank 1, and then, one after the other,
    the rank that lowers the summed squared error most per parameter.

    Squared singular values decrease, so that no other ranks within the parameters that are used have a smaller error. At
    the break-even rank what comes next is the weight itself, as a whole.

    Args:
        values: singular values of each.
        fixed: ranks that are given, by the number of the module.

    Returns:
        A rank for each, None for a weight that is kept; None where rank 1 of each is too much.
    """
    sizes = [module.in_features * module.out_features for module in modules]
    costs = [module.in_features + module.out_features for module in modules]
    largest = [break_even_rank(module) for module in modules]
    ranks: list[int | None] = [fixed.get(i, 1 if largest[i] else None) for i in range(len(modules))]
    spent = sum(sizes[i] if rank is None else rank * costs[i] for i, rank in enumerate(ranks))
    if spent > limit:
        return None

    def offer(i: int) -> tuple[float, int, int, int | None]:
        """What the next rank of a module gains per parameter (negative, for the heap), and what it costs."""
        rank = ranks[i]
        assert rank is not None  # only modules that may grow are offered
        if rank < largest[i]:
            return -float(values[i][rank] ** 2) / costs[i], i, costs[i], rank + 1
        rest = sizes[i] - rank * costs[i]
        return -float((values[i][rank:] ** 2).sum()) / rest, i, rest, None

    heap = [offer(i) for i, rank in enumerate(ranks) if i not in fixed and rank is not None]
    heapq.heapify(heap)
    while heap:
        _, i, cost, rank = heapq.heappop(heap)
        if spent + cost > limit:
            continue  # whatever this module could have next costs as much or more
        spent += cost
        ranks[i] = rank
        if rank is not None:
            heapq.heappush(heap, offer(i))
    return ranks


class LowRank(Transform):
    """Replaces linear layers, in either weight layout, and embeddings by two thin factors."""

    Options = LowRankOptions

    def scale(self, module: ModuleSpec, statistics: Statistics | None) -> np.ndarray | None:
        """How the inputs of a module are weighted, ``(in,)``; None: all alike."""
        return None

    def apply(self, spec: ModelSpec, options: Any, statistics: Statistics | None = None) -> tuple[ModelSpec, Report]:
        """Factor every target; one that ``energy`` gives a rank above the break-even, or that ``budget`` leaves whole,
        is left as it is, and reported."""
        found = matches(options, spec)
        refuse(_RULE, [problem for item in found for problem in _rank_problems(item, options)])
        decompositions = [
            Decomposition.of(
                outputs_first(item.module, spec.arrays[f"{item.module.path}.weight"]),
                self.scale(item.module, statistics),
            )
            for item in found
        ]
        arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
        chosen = _ranks(found, decompositions, options)
        for item, decomposition, (rank, note) in zip(found, decompositions, chosen, strict=True):
            if rank is None:
                rows.append(_kept(item.module, decomposition, note))
                continue
            edits.append(FACTORED_LAYER.edit(item.module, FactoredArguments(rank)))
            _replace(arrays, edits[-1], *decomposition.factors(rank))
            rows.append(_factored(item.module, decomposition, rank))
        if len(edits) == len(spec.edits):
            refuse(_RULE, [f"{row.path}: {row.note}" for row in rows])
        changed = restructured(spec, edits, arrays)
        return changed, Report.of(tuple(rows), spec, changed)

    def example(self, targets: Sequence[str]) -> Any:
        """Factors of at most half the size of the weight."""
        return dataclasses.replace(super().example(targets), share=0.5)


def _ranks(
    found: Sequence[Match], decompositions: Sequence[Decomposition], options: LowRankOptions
) -> list[tuple[int | None, str]]:
    """For every target its rank, or None and why it is left as it is."""
    if options.budget is None:
        return [_rank(item, decomposition, options) for item, decomposition in zip(found, decompositions, strict=True)]
    modules = [item.module for item in found]
    fixed = {index: item.target.rank for index, item in enumerate(found) if item.target.rank is not None}
    size = sum(module.in_features * module.out_features for module in modules)
    values = [decomposition.values for decomposition in decompositions]
    ranks = budgeted(modules, values, math.floor(options.budget * size), fixed)
    if ranks is None:
        refuse("A budget must leave a rank for every target", [f"budget: {options.budget:g} of {size:,} parameters"])
    assert ranks is not None  # or it was refused
    return [(rank, "left as it is: the budget allows it" if rank is None else "") for rank in ranks]


def _rank(item: Match, decomposition: Decomposition, options: LowRankOptions) -> tuple[int | None, str]:
    rank, even = _fixed_rank(item, options), break_even_rank(item.module)
    if rank is None:
        assert options.energy is not None  # one of the choices is given
        rank = decomposition.rank_for(options.energy)
    if rank > even and not options.larger:
        return None, f"left as it is: the energy needs rank {rank}, more than the break-even {even}"
    return rank, ""


def _fixed_rank(item: Match, options: LowRankOptions) -> int | None:
    """The rank that does not depend on the weight; None for ``energy`` and ``budget``, 0 where a share is too small for
    any."""
    if item.target.rank is not None:
        return item.target.rank
    if options.share is None:
        return options.rank
    rows, columns = item.module.out_features, item.module.in_features
    return math.floor(options.share * rows * columns / (rows + columns))


def _rank_problems(item: Match, options: LowRankOptions) -> Iterator[str]:
    module, rank = item.module, _fixed_rank(item, options)
    if rank is None:
        return
    size, even = f"{module.path} is {module.in_features} x {module.out_features}", break_even_rank(module)
    if rank < 1:
        yield f"{size}: a share of {options.share:g} leaves no rank. Give a larger share, or exclude it"
    elif rank > min(module.in_features, module.out_features):
        yield f"{size}: a rank above the smaller side adds nothing, and rank is {rank}"
    elif rank > even and not options.larger:
        yield (
            f"{size}: at rank {rank} the factors hold more parameters than the weight. "
            + (f"Use at most {even}" if even else "Exclude it")
            + ", or set larger=true"
        )


def _replace(arrays: dict[str, np.ndarray], edit: Edit, outer: np.ndarray, inner: np.ndarray) -> None:
    """Take the weight out and put the factors in, rounded once."""
    del arrays[f"{edit.path}.weight"]
    first = inner.T if edit.module.kind.lookup else inner
    for leaf, factor in (("first", first), ("second", outer)):
        arrays[f"{edit.path}.{leaf}.weight"] = np.ascontiguousarray(factor, np.float32)


def _factored(module: ModuleSpec, decomposition: Decomposition, rank: int) -> ModuleReport:
    before = module.in_features * module.out_features
    after = rank * (module.in_features + module.out_features)
    details: dict[str, Any] = {"rank": rank}
    if decomposition.scale is not None:
        details["weighted"] = f"{decomposition.weighted_error(rank):.4f}"
    return ModuleReport(module.path, before, after, decomposition.error(rank), decomposition.norm, details)


def _kept(module: ModuleSpec, decomposition: Decomposition, note: str) -> ModuleReport:
    size = module.in_features * module.out_features
    return ModuleReport(module.path, size, size, 0.0, decomposition.norm, note=note)
