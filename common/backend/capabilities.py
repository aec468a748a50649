"""What a backend can compute on the device at hand, as data: a configuration is refused before anything is built."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from common.backend.contract import EngineSettings
from common.errors import InputError
from common.members import file_name
from common.models.modules import RECURRENT

__all__ = ["Capabilities", "check", "check_model", "requirements"]


@dataclass(frozen=True)
class Capabilities:
    """Everything is supported but what ``missing`` gives a reason for.

    Keys are ``dtype:bf16``, ``cell:lstm``, ``recompute``, ``shard``, or ``family:NAME``, ``task:NAME`` and
    ``layer:NAME`` where the backend lacks the member's file.
    """

    backend: str
    missing: Mapping[str, str] = field(default_factory=dict)
    other_families: bool = False  #: whether it also runs families that have no file

    def reason(self, name: str) -> str | None:
        """Why ``name`` is not supported; None where it is."""
        if name in self.missing:
            return self.missing[name]
        axis, _, member = name.partition(":")
        folder = {"family": "models", "task": "tasks", "layer": "layers"}.get(axis)
        if axis == "family" and self.other_families:
            return None
        if folder is None or _exists(f"{self.backend}_impl.{folder}.{file_name(member)}"):
            return None
        return f"there is no {self.backend}_impl/{folder}/{file_name(member)}.py"


def _exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def of_model(spec: Any, edits: Iterable[Any] = ()) -> tuple[str, ...]:
    """The capabilities that computing a model needs.

    Args:
        spec: a `common.models.specs.ModelSpec`.
        edits: what replaces modules of it, beside its own.
    """
    layers = sorted({edit.layer for edit in (*spec.edits, *edits)})
    cells = sorted({module.arguments.cell for module in spec.modules if module.kind is RECURRENT})
    needed = [f"family:{spec.family}", f"task:{spec.task}", *(f"layer:{layer}" for layer in layers)]
    return (*needed, *(f"cell:{cell}" for cell in cells))


def requirements(spec: Any, plan: Any, settings: EngineSettings) -> tuple[str, ...]:
    """The capabilities that a run needs.

    Args:
        spec: a `common.models.specs.ModelSpec`.
        plan: a `common.methods.plan.Plan`.
    """
    needed = [*of_model(spec, plan.edits), f"dtype:{settings.dtype}"]
    needed += [name for name in ("recompute", "shard") if getattr(settings, name)]
    if settings.shard and spec.integers():
        needed.append("sharded integers")
    if settings.adversarial is not None and settings.compile:
        needed.append("compiled adversarial training")
    return tuple(needed)


def check(backend: ModuleType, device: str, spec: Any, plan: Any, settings: EngineSettings) -> None:
    """Refuse what ``backend`` cannot compute on ``device``.

    Raises:
        InputError: the reasons, listed.
    """
    _check(backend, device, spec, requirements(spec, plan, settings))


def check_model(backend: ModuleType, device: str, spec: Any) -> None:
    """Refuse a model, without a plan, that ``backend`` cannot compute on ``device``, as `check` does."""
    _check(backend, device, spec, of_model(spec))


def _check(backend: ModuleType, device: str, spec: Any, needed: Iterable[str]) -> None:
    found = backend.capabilities(device)
    problems = [(name, reason) for name in needed if (reason := found.reason(name))]
    if not problems:
        problems = [("model", reason) for reason in backend.model_problems(spec)]
    _raise(found.backend, device, problems)


def _raise(backend: str, device: str, problems: Iterable[tuple[str, str]]) -> None:
    listed = "\n  ".join(f"{name}: {reason}" for name, reason in problems)
    if listed:
        raise InputError(
            f"The {backend} backend cannot compute this on {device}:\n  {listed}\n"
            "Change these settings, or use another backend."
        )
