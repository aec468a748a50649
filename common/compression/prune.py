"""Structured pruning: heads of attention and units of feed-forward parts that matter least to the loss are taken out,
and with them rows and columns of the linear layers around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from common.compression.importance import Group
from common.compression.matrices import relative
from common.compression.report import ModuleReport, Report
from common.compression.transform import Statistics, Transform, TransformOptions
from common.errors import InputError
from common.models import FAMILIES
from common.models.family import Family
from common.models.layers.sliced import MEMBER as SLICED
from common.models.layers.sliced import SlicedArguments
from common.models.modules import ATTENTION, LINEAR, ModuleSpec
from common.models.specs import ModelSpec
from common.models.structure import restructured
from common.strict import check_finite

__all__ = ["MEMBER", "Prune", "PruneOptions"]


@dataclass(frozen=True)
class PruneOptions(TransformOptions):
    """How much is kept. It concerns whole layers, so that there are no targets to choose."""

    heads: float = 0.75  #: share of the heads that are kept
    units: float = 0.75  #: share of the units of feed-forward parts that are kept
    scope: Literal["model", "layer"] = (
        "model"  #: whether those of all layers are compared, or each layer keeps its share
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """A share out of range, or targets."""
        if (self.targets, self.exclude) != (TransformOptions.targets, TransformOptions.exclude):
            yield "targets", "and exclude are not for this transform, which takes heads and units out of every layer"
        for name in ("heads", "units"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                yield name, f"must be greater than 0 and at most 1; received {value!r}"
        if self.heads == self.units == 1:
            yield "heads", "and units are 1, so that nothing is taken out"


@dataclass(frozen=True)
class _Layer:
    """The modules of a layer that lose something."""

    attention: ModuleSpec
    projections: tuple[ModuleSpec, ...]
    mixed: ModuleSpec
    inner: ModuleSpec
    outer: ModuleSpec

    @property
    def heads(self) -> Group:
        """By the columns that read them."""
        return Group(self.attention.path, self.attention.arguments.count, ((f"{self.mixed.path}.weight", 1),))

    @property
    def units(self) -> Group:
        """By the weights and the bias that make them."""
        names = [f"{self.inner.path}.{leaf}" for leaf in ("weight", "bias")[: 1 + self.inner.bias]]
        return Group(self.inner.path, self.inner.out_features, tuple((name, 0) for name in names))

    def modules(self) -> tuple[ModuleSpec, ...]:
        """The linear ones."""
        return (*self.projections, self.mixed, self.inner, self.outer)


def _layers(spec: ModelSpec) -> list[_Layer]:
    """Of a model, in order.

    Raises:
        InputError: its family has no such layers, or a transform has changed them to others.
    """
    parts = FAMILIES.get(spec.family).PARTS if spec.family in FAMILIES else None
    if parts is None:
        suited = ", ".join(family.name for family in FAMILIES if family.PARTS)
        raise InputError(
            f"Heads and units are taken out of layers with plain attention and feed-forward parts, which the families "
            f"{suited} have; this is a {spec.family} model."
        )
    if spec.companion is not None:
        raise InputError("Heads and units are taken out of models of one network; this one has two.")
    by_path = {module.path: module for module in spec.modules}
    found = []
    for attention in (module for module in spec.modules if module.kind is ATTENTION):
        layer = attention.path.removesuffix(parts.attention)
        rest = (by_path[f"{layer}{path}"] for path in (parts.mixed, parts.inner, parts.outer))
        found.append(_Layer(attention, tuple(by_path[path] for path in attention.arguments.projections), *rest))
    changed = [module for layer in found for module in layer.modules() if module.kind is not LINEAR]
    if changed:
        raise InputError(
            f"{changed[0].path} is a {changed[0].kind.name} module, of which no rows or columns can be taken. Prune "
            "first, and compress afterwards."
        )
    names = [f"{module.path}.weight" for layer in found for module in layer.modules()]
    check_finite({name: spec.arrays[name] for name in names}, "A transform")
    return found


def kept(found: Sequence[np.ndarray], share: float, scope: str) -> list[np.ndarray]:
    """For each layer which units are kept, in ascending order; one at least.

    Args:
        found: importances of a layer each. Between layers their shares of the layer's Euclidean norm are compared.
        scope: ``layer`` keeps the share of each layer; ``model`` of all together.

    Example:
        >>> [list(map(int, one)) for one in kept([np.array([3.0, 1, 2]), np.array([0.0, 5, 0])], 0.5, "model")]
        [[0, 2], [1]]
    """
    orders = [np.argsort(-one, kind="stable") for one in found]
    if scope == "layer":
        counts = [max(1, round(share * len(one))) for one in found]
    else:
        norms = [np.linalg.norm(one) or 1.0 for one in found]
        rest = [
            (-found[layer][unit] / norms[layer], place, layer)
            for layer, order in enumerate(orders)
            for place, unit in enumerate(order)
            if place > 0
        ]
        free = max(0, round(share * sum(map(len, found))) - len(found))
        counts = [1] * len(found)
        for _, _, layer in sorted(rest)[:free]:  # of a layer always the most important one that is left
            counts[layer] += 1
    return [np.sort(order[:count]) for order, count in zip(orders, counts, strict=True)]


class Prune(Transform):
    """What is left stays as it is: without units of importance 0, the model computes what it computed."""

    name = "prune"
    Options = PruneOptions
    needs = "importance"

    def groups(self, spec: ModelSpec, options: PruneOptions) -> list[Group]:
        """Those of which something is taken out."""
        layers = _layers(spec)
        heads = [layer.heads for layer in layers] if options.heads < 1 else []
        return heads + [layer.units for layer in layers] if options.units < 1 else heads

    def apply(
        self, spec: ModelSpec, options: PruneOptions, statistics: Statistics | None = None
    ) -> tuple[ModelSpec, Report]:
        """Take the least important heads and units out.

        Args:
            statistics: the importances of `groups`.
        """
        layers, given = _layers(spec), statistics or {}
        every = [_all(layer) for layer in layers]
        heads, units = ([one[which] for one in every] for which in (0, 1))
        if options.heads < 1:
            heads = kept([given[layer.attention.path] for layer in layers], options.heads, options.scope)
        if options.units < 1:
            units = kept([given[layer.inner.path] for layer in layers], options.units, options.scope)
        arrays, before = dict(spec.arrays), {edit.path: edit.module for edit in reversed(spec.edits)}
        edits = {edit.path: edit for edit in spec.edits}
        rows = []
        for layer, of_heads, of_units in zip(layers, heads, units, strict=True):
            width = layer.attention.in_features // layer.attention.arguments.count
            entries = (of_heads[:, None] * width + np.arange(width)).reshape(-1)
            rows.append(_taken(arrays, layer.projections, (layer.mixed,), entries, layer.heads, len(of_heads)))
            rows.append(_taken(arrays, (layer.inner,), (layer.outer,), of_units, layer.units, len(of_units)))
            for module in layer.modules():
                outputs, inputs = arrays[f"{module.path}.weight"].shape
                if (inputs, outputs) != (module.in_features, module.out_features):
                    whole = before.get(module.path, module)
                    edits[module.path] = SLICED.edit(whole, SlicedArguments(inputs, outputs))
        changed = restructured(spec, tuple(edits.values()), arrays)
        findings = {"heads": list(map(len, heads)), "units": list(map(len, units))}
        return changed, Report.of(tuple(rows), spec, changed, findings)

    def suits(self, family: Family, config: Mapping[str, Any]) -> bool:
        """Its layers are plain ones."""
        return family.PARTS is not None

    def example(self, targets: Sequence[str]) -> PruneOptions:
        """Without targets."""
        return self.Options()


def _all(layer: _Layer) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(layer.heads.count), np.arange(layer.units.count)


def _taken(
    arrays: dict[str, np.ndarray],
    makers: Sequence[ModuleSpec],
    readers: Sequence[ModuleSpec],
    entries: np.ndarray,
    group: Group,
    count: int,
) -> ModuleReport:
    """Leave these outputs of ``makers`` and inputs of ``readers``, in place."""
    names = [(f"{module.path}.{leaf}", 0) for module in makers for leaf in ("weight", "bias")]
    names = [(name, axis) for name, axis in names if name in arrays]
    names += [(f"{module.path}.weight", 1) for module in readers]
    sizes, squares = np.zeros(2, np.int64), np.zeros(2)
    for name, axis in names:
        whole = arrays[name]
        arrays[name] = np.ascontiguousarray(np.take(whole, entries, axis))
        sizes += whole.size, arrays[name].size
        squares += [np.sum(np.square(array, dtype=np.float64)) for array in (whole, arrays[name])]
    norm = float(np.sqrt(squares[0]))
    lost = relative(float(np.sqrt(max(0.0, squares[0] - squares[1]))), norm) if count < group.count else 0.0
    details = {"kept": count, "of": group.count}
    return ModuleReport(group.path, int(sizes[0]), int(sizes[1]), lost, norm, details)


MEMBER = Prune()
