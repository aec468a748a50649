"""A second network that is trained with the first and stored beside it, and how their word embeddings are shared.

The parameters of both are those of one model: the second's stand under the prefix ``name``. The first is an ordinary
checkpoint, the second another one in a folder of that name. With E the first's table of words and G the second's:

    none                        E and G are two tables
    shared                      E = G, one table with the gradients of both
    gradient-disentangled       E = stop_gradient(G) + D; what is trained as the first's table is D, which starts at 0,
                                and what is stored is the sum (He et al. 2023, section 3.3)

A second network that is new begins with the first one's table, unless they are two.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from common.errors import InputError
from common.models.modules import ModuleSpec

if TYPE_CHECKING:
    from common.config.schema import ModelConfig
    from common.models.specs import ModelSpec

__all__ = ["DISENTANGLED", "SEED", "SHARED", "Companion", "Sharing", "Wish", "alone", "gathered", "joined", "parted"]

Arrays = dict[str, np.ndarray]
Sharing = Literal["none", "shared", "gradient-disentangled"]
SHARED, DISENTANGLED = "shared", "gradient-disentangled"
SEED = 2**32  #: added to the seed of what is initialised, beyond every seed of a first network


@dataclass(frozen=True)
class Wish:
    """What a task wants beside its network."""

    name: str  #: prefix of its parameters, and its folder
    model: ModelConfig
    table: str  #: path of the table of words, the same in both
    sharing: str


@dataclass(frozen=True)
class Companion:
    """The second network of a model."""

    name: str
    spec: ModelSpec
    table: str
    sharing: str

    def prefixed(self, path: str) -> str:
        """The path or name in the whole model."""
        return f"{self.name}.{path}"


def joined(main: ModelSpec, companion: Companion) -> ModelSpec:
    """The model of both.

    Raises:
        InputError: they are of two families, or their tables do not have one shape.
    """
    other = companion.spec
    if other.family != main.family:
        raise InputError(
            f"Both networks must be of one family; this one is a {main.family}, and the {companion.name} a {other.family}."
        )
    weight = f"{companion.table}.weight"
    shapes = [spec.shapes()[weight] for spec in (main, other)]
    if companion.sharing in (SHARED, DISENTANGLED) and shapes[0] != shapes[1]:
        raise InputError(
            f"Networks that share word embeddings must have one table shape; received {shapes[0]} and, of the "
            f"{companion.name}, {shapes[1]}. Give both the same width, or set model.task_options.embeddings to none."
        )
    return dataclasses.replace(
        main,
        modules=(*main.modules, *(_prefixed(module, companion) for module in other.modules)),
        arrays=_started(main, companion),
        head=(*main.head, *map(companion.prefixed, other.head)),
        extended=(*main.extended, *map(companion.prefixed, other.extended)),
        new_parameters=(*main.new_parameters, *map(companion.prefixed, other.new_parameters)),
        fingerprint=hashlib.sha256(f"{main.fingerprint} {other.fingerprint}".encode()).hexdigest(),
        companion=companion,
    )


def _prefixed(module: ModuleSpec, companion: Companion) -> ModuleSpec:
    tied = companion.prefixed(module.tied_to) if module.tied_to else None
    if module.path == companion.table and companion.sharing == SHARED:
        tied = companion.table
    return dataclasses.replace(module, path=companion.prefixed(module.path), tied_to=tied)


def _started(main: ModelSpec, companion: Companion) -> Arrays:
    """Start values: a table that came from a checkpoint goes before one that is new."""
    weight = f"{companion.table}.weight"
    own, theirs = dict(main.arrays), dict(companion.spec.arrays)
    loaded = [spec.source is not None for spec in (main, companion.spec)]
    if companion.sharing in (SHARED, DISENTANGLED) and not all(loaded):
        table = theirs[weight] if loaded[1] else own[weight]
        own[weight], theirs[weight] = table, table
    return gathered(companion, own, theirs)


def gathered(companion: Companion, own: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> Arrays:
    """The arrays of the whole model, from those of its two checkpoints."""
    weight = f"{companion.table}.weight"
    own, theirs = dict(own), dict(theirs)
    if companion.sharing == SHARED:
        del theirs[weight]
    elif companion.sharing == DISENTANGLED:
        own[weight] = own[weight] - theirs[weight]
    return own | {companion.prefixed(name): array for name, array in theirs.items()}


def parted(companion: Companion, arrays: Mapping[str, np.ndarray]) -> tuple[Arrays, Arrays]:
    """Inverse of `gathered`, to within the rounding of the sum of two tables."""
    weight, start = f"{companion.table}.weight", companion.prefixed("")
    own = {name: array for name, array in arrays.items() if not name.startswith(start)}
    theirs = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
    if companion.sharing == SHARED:
        theirs[weight] = own[weight]
    elif companion.sharing == DISENTANGLED:
        own[weight] = own[weight] + theirs[weight]
    return own, theirs


def alone(spec: ModelSpec) -> ModelSpec:
    """The first network of ``spec``, as its checkpoint holds it."""
    companion = spec.companion
    assert companion is not None
    start = companion.prefixed("")
    own, _ = parted(companion, spec.arrays) if spec.arrays else ({}, {})
    kept = tuple(module for module in spec.modules if not module.path.startswith(start))
    return dataclasses.replace(spec, modules=kept, arrays=own, companion=None)
