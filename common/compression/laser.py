"""LASER, layer-selective rank reduction (Sharma et al. 2023): a weight is replaced by its best approximation of low rank,
as a whole, where that does not make the model worse. It is an edit and saves nothing by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.compression.matrices import outputs_first, relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Needs, Score, Scorer, Transform, TransformOptions, matches
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "Laser", "LaserOptions", "search"]


@dataclass(frozen=True)
class LaserOptions(TransformOptions):
    """``keep`` reduces every target. Without it, a search decides which target is reduced to which share."""

    keep: float | None = None  #: of the rank; 1 is left at least
    keeps: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)  #: shares that a search tries

    def problems(self) -> Iterator[tuple[str, str]]:
        """A share out of range, or none to try."""
        yield from super().problems()
        for name, values in (("keep", () if self.keep is None else (self.keep,)), ("keeps", self.keeps)):
            for value in values:
                if not 0 < value < 1:
                    yield name, f"must be greater than 0 and less than 1; received {value!r}"
        if not self.keeps:
            yield "keeps", "must name at least one share"
        if any(target.rank is not None for target in self.targets):
            yield "targets", "have no rank here; keep and keeps are shares of the rank"


@dataclass(frozen=True)
class _Edit:
    """One module with the share of its rank that is kept."""

    module: ModuleSpec
    keep: float

    @property
    def name(self) -> str:
        """Of the weight."""
        return f"{self.module.path}.weight"

    @property
    def rank(self) -> int:
        """1 at least."""
        return max(1, int(self.keep * min(self.module.in_features, self.module.out_features)))

    def applied(self, weight: np.ndarray) -> np.ndarray:
        """The weight of that rank, float32 in its layout."""
        return _reduced(self.module, weight, [self])[0]


def _reduced(module: ModuleSpec, weight: np.ndarray, edits: Sequence[_Edit]) -> list[np.ndarray]:
    """The weight of the rank of each edit, from one decomposition."""
    u, values, vt = np.linalg.svd(outputs_first(module, weight), full_matrices=False)
    products = [(u[:, : edit.rank] * values[: edit.rank]) @ vt[: edit.rank] for edit in edits]
    first = module.kind.transposed or module.kind.lookup
    return [np.ascontiguousarray(product.T if first else product, np.float32) for product in products]


@dataclass(frozen=True)
class Found:
    """What a search chose, and what it saw."""

    edits: tuple[_Edit, ...]
    findings: dict[str, Any]


def search(spec: ModelSpec, modules: Sequence[ModuleSpec], keeps: Sequence[float], scorer: Scorer) -> Found:
    """The best of three models on validation examples: the model as it is, the best single edit, and a composition of
    several. Of equally good ones the one with fewer edits. The test split is scored once, for the one that was chosen.

    Every module is tried with every share. The composition goes from the last module to the first, and in each from the
    smallest share on, through what did not lower the metric alone; an edit stays where it does not lower that of the edits
    before it.
    """
    base = scorer.validation({})
    single: dict[tuple[str, float], Score] = {}
    for module in modules:
        edits = [_Edit(module, keep) for keep in sorted(keeps)]
        weights = _reduced(module, spec.arrays[f"{module.path}.weight"], edits)
        for edit, weight in zip(edits, weights, strict=True):
            single[module.path, edit.keep] = scorer.validation({edit.name: weight})
    best = max(single, key=lambda key: single[key])
    by_path = {module.path: module for module in modules}
    composed, changed, score = _composed(spec, modules, single, base, scorer)
    models = [
        ("no edit", (), base),
        ("one edit", (_Edit(by_path[best[0]], best[1]),), single[best]),
        ("composition", composed, score),
    ]
    models.sort(key=lambda model: len(model[1]))
    what, chosen, reached = max(models, key=lambda model: model[2])  # the first of several that are equal
    if what != "composition":
        changed = {edit.name: edit.applied(spec.arrays[edit.name]) for edit in chosen}
    sign = 1.0 if scorer.higher_is_better else -1.0
    findings: dict[str, Any] = {
        "chosen": what,
        "metric": scorer.metric,
        "validation": {name: sign * found.metric for name, _, found in models},
        "test": scorer.test(changed),
        "trials": [
            {"path": path, "keep": keep, scorer.metric: sign * found.metric, "loss": -found.likelihood}
            for (path, keep), found in single.items()
        ],
    }
    assert reached >= base
    return Found(tuple(chosen), findings)


def _composed(
    spec: ModelSpec,
    modules: Sequence[ModuleSpec],
    single: Mapping[tuple[str, float], Score],
    base: Score,
    scorer: Scorer,
) -> tuple[tuple[_Edit, ...], dict[str, np.ndarray], Score]:
    kept: list[_Edit] = []
    changed: dict[str, np.ndarray] = {}
    score = base
    for module in reversed(modules):
        tried = [_Edit(module, keep) for (path, keep), found in single.items() if path == module.path]
        tried = [edit for edit in tried if single[module.path, edit.keep].metric >= base.metric]
        weights = _reduced(module, spec.arrays[f"{module.path}.weight"], tried) if tried else []
        for edit, weight in zip(tried, weights, strict=True):  # from the smallest share on
            found = scorer.validation({**changed, edit.name: weight})
            if found.metric >= score.metric:
                kept.append(edit)
                changed[edit.name], score = weight, found
                break
    return tuple(kept), changed, score


class Laser(Transform):
    """Reduces linear layers, in either weight layout, and embeddings; the modules stay what they are."""

    name = "laser"
    Options = LaserOptions

    def needed(self, options: LaserOptions) -> Needs:
        """A search needs scores."""
        return "nothing" if options.keep is not None else "scores"

    def apply(
        self, spec: ModelSpec, options: LaserOptions, statistics: Scorer | None = None
    ) -> tuple[ModelSpec, Report]:
        """Reduce every target, or those that a search chooses; the others are reported as they are."""
        modules = [item.module for item in matches(options, spec)]
        if options.keep is not None:
            found = Found(tuple(_Edit(module, options.keep) for module in modules), {})
        else:
            assert statistics is not None  # `needed` says so
            found = search(spec, modules, options.keeps, statistics)
        chosen = {edit.module.path: edit for edit in found.edits}
        arrays, rows = dict(spec.arrays), []
        for module in modules:
            name = f"{module.path}.weight"
            if module.path in chosen:
                arrays[name] = chosen[module.path].applied(spec.arrays[name])
            rows.append(_row(module, spec.arrays[name], arrays[name], chosen.get(module.path)))
        changed = dataclasses.replace(spec, arrays=arrays)
        return changed, Report.of(tuple(rows), spec, changed, found.findings)

    def example(self, targets: Sequence[str]) -> LaserOptions:
        """Half of the rank."""
        return dataclasses.replace(super().example(targets), keep=0.5)


def _row(module: ModuleSpec, before: np.ndarray, after: np.ndarray, edit: _Edit | None) -> ModuleReport:
    norm = float(np.linalg.norm(before.astype(np.float64)))
    error = relative(float(np.linalg.norm(after.astype(np.float64) - before)), norm)
    details = {} if edit is None else {"rank": edit.rank, "keep": edit.keep}
    note = "left as it is" if edit is None else ""
    return ModuleReport(module.path, before.size, before.size, error, norm, details, note)


MEMBER = Laser()
