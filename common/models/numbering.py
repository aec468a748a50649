"""The layers of a model, by their numbers in the paths of its modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InputError
from common.models import FAMILIES
from common.models.family import Family
from common.models.specs import ModelSpec

__all__ = ["EACH_LAYER", "Numbered", "numbered", "stem_of"]

EACH_LAYER = ("layer_types",)  #: entries of a configuration with one value for each layer


@dataclass(frozen=True)
class Numbered:
    """The layers of a model."""

    stem: str  #: path of their list
    count: int
    entry: str  #: of the configuration, with their number

    def number(self, path: str) -> int | None:
        """Of the layer that a module or parameter lies in; None outside of the layers."""
        found = re.match(rf"{re.escape(self.stem)}\.(\d+)\.", path)
        return int(found[1]) if found else None


def stem_of(family: Family, config: Mapping[str, Any]) -> str | None:
    """Path of the list of layers; None where there is none, or several: layers that share their parameters, networks of
    two parts."""
    entry = family.SIZE.get("layers")
    if entry is None:
        return None
    count = config[entry]
    longer = {**config, entry: count + 1} | {name: None for name in EACH_LAYER if name in config}
    known = {module.path for module in family.backbone(config).modules}
    added = [module.path for module in family.backbone(longer).modules if module.path not in known]
    stems = {path.partition(f".{count}.")[0] for path in added}
    return stems.pop() if len(stems) == 1 else None


def numbered(spec: ModelSpec, wish: str) -> Numbered:
    """The layers of ``spec``.

    Args:
        wish: what is asked of them, for messages: "Layers are deleted".

    Raises:
        InputError: it is of no family that is described here, has two networks, or has not one list of layers with
            parameters of their own.
    """
    if spec.family not in FAMILIES or spec.companion is not None:
        raise InputError(
            f"{wish} of models of one network of the families {', '.join(FAMILIES.names())}; this is a "
            f"{spec.family} model{' of two networks' if spec.companion is not None else ''}."
        )
    family = FAMILIES.get(spec.family)
    stem = stem_of(family, spec.config)
    if stem is None:
        raise InputError(
            f"{wish} one by one, of a model with one list of layers that have parameters of their own; a {spec.family} "
            "model has none. Choose another method or transform."
        )
    entry = family.SIZE["layers"]
    return Numbered(stem, spec.config[entry], entry)
