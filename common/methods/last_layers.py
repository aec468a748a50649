"""Training the last layers and the task head, the embeddings and all other layers frozen. With the method that trains
the head alone, this is the range from feature-based use of a model to full fine-tuning (Devlin et al. 2019, section
5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.unfreezing import everything
from common.models.modules import ATTENTION, ModuleSpec
from common.models.numbering import Numbered, numbered
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "LastLayers", "LastLayersOptions"]


@dataclass(frozen=True)
class LastLayersOptions(MethodOptions):
    """How many layers."""

    layers: int = 1  #: that are trained, counted from the last one

    def problems(self) -> Iterator[tuple[str, str]]:
        """None."""
        if self.layers < 1:
            yield "layers", f"must be at least 1; received {self.layers}"


class LastLayers(Method):
    """Trains them and all that stands behind them: a last norm, a pooler, the head. The result is a checkpoint."""

    name = "last_layers"
    Options = LastLayersOptions
    artifact = "checkpoint"

    def plan(self, options: LastLayersOptions, spec: ModelSpec) -> Plan:
        """Nothing is edited.

        Raises:
            InputError: the model has fewer layers, or they are not counted one by one.
        """
        layers = numbered(spec, "The last layers are trained")
        if options.layers > layers.count:
            raise InputError(
                f"adaptation.layers must be at most the {layers.count} layers of the model; received {options.layers}."
            )
        paths = _behind(spec.modules, layers, layers.count - options.layers)
        trained = tuple(one for one in everything(spec) if one.name.rpartition(".")[0] in paths)
        return Plan(self.name, (), trained, spec.head, self.artifact, options)

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """Its layers stand in one list and have parameters of their own: several attentions of different paths."""
        paths = [module.path for module in modules if module.kind is ATTENTION]
        lists = {re.split(r"\.\d+\.", path, maxsplit=1)[0] for path in paths}
        return len(paths) > 1 and len(lists) == 1

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """No adapter folder is of this method."""
        return None


def _behind(modules: Sequence[ModuleSpec], layers: Numbered, first: int) -> set[str]:
    """Paths of the layers from number ``first`` on, and of what is used after all layers."""
    numbers = [layers.number(module.path) for module in modules]
    last = max(index for index, number in enumerate(numbers) if number is not None)
    return {
        path
        for index, (module, number) in enumerate(zip(modules, numbers, strict=True))
        if (number is not None and number >= first) or index > last
        for path in _paths(module)
    }


def _paths(module: ModuleSpec) -> set[str]:
    """Of what its parameters' names begin with."""
    return {name.rpartition(".")[0] for name in module.shapes()}


MEMBER = LastLayers()
