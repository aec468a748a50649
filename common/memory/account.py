"""The account of one training step: weights, gradients, optimizer state, and what is kept for the backward pass.

It is the memory that a step must hold at the moment between its two passes. A device needs more: temporaries of
operators, rounding and reserves of its allocator, the framework's own libraries.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from common.backend.capabilities import check
from common.config import ExperimentConfig
from common.errors import InputError
from common.memory.components import ADAPTERS, COMPONENTS, Components
from common.memory.outline import outlined
from common.models.modules import RECURRENT
from common.models.specs import ModelSpec
from common.optimizers import OPTIMIZERS
from common.training.assembly import engine_settings

__all__ = ["PARTS", "Account", "Held", "assemble", "check_sizes", "components_of", "take"]

PARTS = ("weights", "gradients", "optimizer", "activations")


@dataclass(frozen=True)
class Held:
    """What a backend says of one step, in bytes."""

    weights: Mapping[str, int]  #: by parameter, canonical names
    trained: frozenset[str]  #: those of them that get a gradient
    kept: Mapping[str, int]  #: for the backward pass, by the path of the module that keeps it


@dataclass(frozen=True)
class Account:
    """Bytes by component and part."""

    about: Mapping[str, Any]  #: backend, way (counted or by formula), rows, length, dtype, ...
    components: Mapping[str, Mapping[str, int]]  #: component, then part
    trained: int  #: scalars

    def part(self, name: str) -> int:
        """Sum of one part over the components."""
        return sum(parts[name] for parts in self.components.values())

    @property
    def total(self) -> int:
        """All of it."""
        return sum(map(self.part, PARTS))

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        sums = {name: self.part(name) for name in PARTS}
        rows = {name: dict(parts) for name, parts in self.components.items()}
        return {**self.about, "trained": self.trained, "components": rows, **sums, "total": self.total}


def assemble(held: Held, components: Components, about: Mapping[str, Any], slots: int = 2) -> Account:
    """Sort what a backend holds into components.

    Args:
        slots: arrays that the optimizer keeps of every trained parameter, in float32 like the parameter.
    """
    found = {name: Counter[str]() for name in COMPONENTS}
    trained = 0
    for name, size in held.weights.items():
        module = name.rpartition(".")[0]
        where = components.of.get(module)
        if name not in components.names:  # an edit's own
            where = ADAPTERS
        part = found[where or components.find(module)]
        part["weights"] += size
        if name in held.trained:
            trained += size // 4
            part["gradients"] += size
            part["optimizer"] += slots * size
    for path, size in held.kept.items():
        found[components.find(path)]["activations"] += size
    rows = {name: {part: sizes[part] for part in PARTS} for name, sizes in found.items() if sizes}
    return Account(about, rows, trained)


def take(backend: ModuleType, config: ExperimentConfig, rows: int, length: int) -> Account:
    """The account of a step with ``rows`` sequences of ``length`` tokens at once, without padding.

    Raises:
        InputError: the model or the method has no account, or the sizes do not fit the model.
    """
    spec, plan = outlined(config)
    if any(module.kind is RECURRENT for module in spec.modules):
        raise InputError(
            f"A step of a {spec.family} network holds memory by the lengths of its texts, which the packed sequences "
            "of its "
            "recurrent layers follow; there is no account of it. Measure one: summary.json of a run holds peak_memory."
        )
    check_sizes(spec, rows, length)
    settings = dataclasses.replace(engine_settings(config), shard=False)
    check(backend, "cpu", spec, plan, settings)
    accounting = importlib.import_module(f"{backend.__name__}.accounting")
    held, way = accounting.held(spec, plan, settings, rows, length)
    about = {
        "backend": backend.__name__.partition("_")[0],
        "way": way,
        "model": config.model.source or spec.family,
        "method": plan.method,
        "rows": rows,
        "length": length,
        "dtype": settings.dtype,
        "recompute": settings.recompute,
    }
    slots = OPTIMIZERS.get(config.optimization.optimizer).slots(config.optimization)
    return assemble(held, components_of(spec, [edit.path for edit in plan.edits]), about, len(slots))


def components_of(spec: ModelSpec, edited: list[str]) -> Components:
    """Of a model that edits wrap."""
    layout = spec.layout
    assert layout is not None  # families that are described here have one
    head = [module.path for module in spec.modules[-len(layout.modules(1, 1)) :]]
    return Components(spec.modules, head, edited)


def check_sizes(spec: ModelSpec, rows: int, length: int) -> None:
    """Raise InputError unless the model takes so many tokens."""
    from common.models import FAMILIES

    most = FAMILIES.get(spec.family).positions(spec.config)
    if rows < 1 or length < 2:
        raise InputError(f"--batch must be at least 1 and --length at least 2; received {rows} and {length}.")
    if most is not None and length > most:
        raise InputError(f"--length must be at most the model's {most} positions; received {length}.")
