"""Removal of layers: the listed ones are deleted, and the others numbered anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.compression.report import ModuleReport, Report
from common.compression.transform import Transform, TransformOptions
from common.edits import Edit
from common.errors import InputError
from common.models.family import Family
from common.models.modules import ATTENTION, ModuleSpec
from common.models.numbering import EACH_LAYER, Numbered, numbered, stem_of
from common.models.specs import ModelSpec
from common.strict import check_finite

__all__ = ["MEMBER", "DropLayers", "DropLayersOptions"]


@dataclass(frozen=True)
class DropLayersOptions(TransformOptions):
    """Which layers; there are no targets to choose."""

    layers: tuple[int, ...] = ()  #: their numbers, from 0

    def problems(self) -> Iterator[tuple[str, str]]:
        """None, one twice, or targets."""
        if (self.targets, self.exclude) != (TransformOptions.targets, TransformOptions.exclude):
            yield "targets", "and exclude are not for this transform, which deletes whole layers"
        if not self.layers:
            yield "layers", "must name at least one layer by its number, counted from 0"
        if len(set(self.layers)) != len(self.layers) or any(number < 0 for number in self.layers):
            yield "layers", f"must be different non-negative integers; received {list(self.layers)}"


class DropLayers(Transform):
    """The result is a plain checkpoint with fewer layers."""

    name = "drop_layers"
    Options = DropLayersOptions

    def apply(self, spec: ModelSpec, options: DropLayersOptions, statistics: Any = None) -> tuple[ModelSpec, Report]:
        """Delete and number anew."""
        layers = numbered(spec, "Layers are deleted")
        beyond = [number for number in options.layers if number >= layers.count]
        if beyond or len(options.layers) >= layers.count:
            raise InputError(
                f"layers must leave one of the model's {layers.count} layers, which are 0 to {layers.count - 1}; "
                f"received {list(options.layers)}."
            )
        check_finite(spec.arrays, "A transform")
        left = [number for number in range(layers.count) if number not in options.layers]
        places = {number: place for place, number in enumerate(left)}

        def renamed(path: str) -> str | None:
            number = layers.number(path)
            if number is None:
                return path
            before = f"{layers.stem}.{number}."
            return f"{layers.stem}.{places[number]}.{path[len(before) :]}" if number in places else None

        changed = _renamed(spec, renamed)
        config = {**spec.config, layers.entry: len(left)}
        config |= {name: [spec.config[name][i] for i in left] for name in EACH_LAYER if spec.config.get(name)}
        changed = dataclasses.replace(changed, config=config)
        rows = tuple(_row(spec, layers, number) for number in sorted(options.layers))
        return changed, Report.of(rows, spec, changed, {"left": left})

    def suits(self, family: Family, config: Mapping[str, Any]) -> bool:
        """Its layers have parameters of their own."""
        return stem_of(family, config) is not None

    def example(self, targets: Sequence[str]) -> DropLayersOptions:
        """The second one."""
        return self.Options(layers=(1,))


def _renamed(spec: ModelSpec, renamed: Callable[[str], str | None]) -> ModelSpec:
    """The model with other paths; what gets none is left out."""

    def sure(path: str) -> str:
        found = renamed(path)
        assert found is not None  # of the same layer as what is kept
        return found

    def of_module(module: ModuleSpec) -> ModuleSpec:
        arguments = module.arguments
        if module.kind is ATTENTION:
            paths = {name: tuple(map(sure, getattr(arguments, name))) for name in ("projections", "positions")}
            arguments = dataclasses.replace(arguments, **paths)
        tied = None if module.tied_to is None else sure(module.tied_to)
        return dataclasses.replace(module, path=sure(module.path), tied_to=tied, arguments=arguments)

    def of_edit(edit: Edit) -> Edit:
        parameters = tuple(dataclasses.replace(one, name=sure(one.name)) for one in edit.parameters)
        return dataclasses.replace(edit, path=sure(edit.path), module=of_module(edit.module), parameters=parameters)

    arrays = {new: array for name, array in spec.arrays.items() if (new := renamed(name)) is not None}
    return dataclasses.replace(
        spec,
        modules=tuple(of_module(module) for module in spec.modules if renamed(module.path) is not None),
        edits=tuple(of_edit(edit) for edit in spec.edits if renamed(edit.path) is not None),
        order=tuple(path for path in spec.order if renamed(path) is not None),
        arrays=arrays,
    )


def _row(spec: ModelSpec, layers: Numbered, number: int) -> ModuleReport:
    arrays = [array for name, array in spec.arrays.items() if layers.number(name) == number]
    norm = float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays)))
    return ModuleReport(f"{layers.stem}.{number}", sum(array.size for array in arrays), 0, 1.0, norm, note="deleted")


MEMBER = DropLayers()
