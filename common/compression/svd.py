"""Truncated singular value decomposition: every weight becomes the product of two thin matrices, its best approximation
of that rank in the Frobenius norm (Eckart and Young 1936)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common.compression.matrices import outputs_first, refuse, relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Statistics, Transform, TransformOptions, matches
from common.edits import Edit
from common.methods.targets import Match
from common.models.layers.factored import MEMBER as FACTORED_LAYER
from common.models.layers.factored import FactoredArguments, break_even_rank
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec
from common.models.structure import restructured

__all__ = ["MEMBER", "Svd", "SvdOptions", "factors"]

_CHOICES = ("rank", "share", "energy")
_RULE = "Every target must have a rank at which its factors are smaller"


@dataclass(frozen=True)
class SvdOptions(TransformOptions):
    """One of ``rank``, ``share`` and ``energy`` is given; a target's own ``rank`` goes before it."""

    rank: int | None = None
    share: float | None = None  #: of a module's weight, the parameters that its factors may hold
    energy: float | None = None  #: of the sum of squared singular values, what the smallest sufficient rank keeps
    larger: bool = False  #: allow ranks of which the factors hold more than the weight

    def problems(self) -> Iterator[tuple[str, str]]:
        """None or several of the three choices, or a value out of range."""
        yield from super().problems()
        given = [name for name in _CHOICES if getattr(self, name) is not None]
        ranks = [target.rank for target in self.targets]
        if len(given) != 1 and not (not given and all(ranks)):
            received = ", ".join(given) or "none of them"
            yield "rank", f"is one of three choices, {', '.join(_CHOICES)}; give exactly one; received {received}"
        for rank in (self.rank, *ranks):
            if rank is not None and rank < 1:
                yield "rank", f"must be greater than 0; received {rank}"
        for name in ("share", "energy"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                yield name, f"must be greater than 0 and less than 1; received {value!r}"


@dataclass(frozen=True)
class _Decomposition:
    """U S V^T of a weight ``(out, in)``; of an embedding ``(width, rows)``."""

    u: np.ndarray
    values: np.ndarray
    vt: np.ndarray

    @classmethod
    def of(cls, module: ModuleSpec, weight: np.ndarray) -> _Decomposition:
        return cls(*np.linalg.svd(outputs_first(module, weight), full_matrices=False))

    def rank_for(self, energy: float) -> int:
        """The smallest rank that keeps this share of the sum of squares."""
        kept = np.cumsum(self.values**2)
        return int(np.searchsorted(kept, energy * kept[-1])) + 1 if kept[-1] else 1

    def discarded(self, rank: int) -> float:
        """Frobenius norm of what a rank leaves out."""
        return float(np.sqrt((self.values[rank:] ** 2).sum()))


def factors(decomposition: _Decomposition, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """U sqrt(S) ``(out, rank)`` and sqrt(S) V^T ``(rank, in)``, float64: both of the same size, so that rounding and
    weight decay treat them alike."""
    root = np.sqrt(decomposition.values[:rank])
    return decomposition.u[:, :rank] * root, root[:, None] * decomposition.vt[:rank]


class Svd(Transform):
    """Replaces linear layers, in either weight layout, and embeddings."""

    name = "svd"
    Options = SvdOptions

    def apply(
        self, spec: ModelSpec, options: SvdOptions, statistics: Statistics | None = None
    ) -> tuple[ModelSpec, Report]:
        """Factor every target; one that ``energy`` gives a rank above the break-even is left as it is, and reported."""
        found = matches(options, spec)
        refuse(_RULE, [problem for item in found for problem in _rank_problems(item, options)])
        arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
        for item in found:
            module = item.module
            decomposition = _Decomposition.of(module, spec.arrays[f"{module.path}.weight"])
            rank = _fixed_rank(item, options)
            if rank is None:
                assert options.energy is not None  # one of the three is given
                rank = decomposition.rank_for(options.energy)
            if rank > break_even_rank(module) and not options.larger:
                rows.append(_kept(module, decomposition, rank))
                continue
            edits.append(FACTORED_LAYER.edit(module, FactoredArguments(rank)))
            _replace(arrays, edits[-1], *factors(decomposition, rank))
            rows.append(_factored(module, decomposition, rank))
        if len(edits) == len(spec.edits):
            refuse(_RULE, [f"{row.path}: {row.note}" for row in rows])
        changed = restructured(spec, edits, arrays)
        return changed, Report.of(tuple(rows), spec, changed)

    def example(self, targets: Sequence[str]) -> SvdOptions:
        """Factors of at most half the size of the weight."""
        return dataclasses.replace(super().example(targets), share=0.5)


def _fixed_rank(item: Match, options: SvdOptions) -> int | None:
    """The rank that does not depend on the weight; None for ``energy``, 0 where a share is too small for any."""
    if item.target.rank is not None:
        return item.target.rank
    if options.share is None:
        return options.rank
    rows, columns = item.module.out_features, item.module.in_features
    return math.floor(options.share * rows * columns / (rows + columns))


def _rank_problems(item: Match, options: SvdOptions) -> Iterator[str]:
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


def _factored(module: ModuleSpec, decomposition: _Decomposition, rank: int) -> ModuleReport:
    norm = float(np.sqrt((decomposition.values**2).sum()))
    error = relative(decomposition.discarded(rank), norm)
    before = module.in_features * module.out_features
    after = rank * (module.in_features + module.out_features)
    return ModuleReport(module.path, before, after, error, norm, {"rank": rank})


def _kept(module: ModuleSpec, decomposition: _Decomposition, rank: int) -> ModuleReport:
    norm = float(np.sqrt((decomposition.values**2).sum()))
    size = module.in_features * module.out_features
    note = f"left as it is: the energy needs rank {rank}, more than the break-even {break_even_rank(module)}"
    return ModuleReport(module.path, size, size, 0.0, norm, note=note)


MEMBER = Svd()
