"""How a method's arrays and settings are written in an adapter folder, and read back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common.edits import Edit
from common.errors import InputError
from common.patterns import match_suffix_pattern

if TYPE_CHECKING:
    from common.methods.plan import Plan
    from common.models.specs import ModelSpec

__all__ = ["CONFIG_NAME", "PREFIX", "PeftFormat", "listed_targets", "lookup", "modules_to_save"]

CONFIG_NAME = "adapter_config.json"
PREFIX = "base_model.model."  #: of PEFT's keys


class PeftFormat:
    """One of PEFT's methods. Keys are PEFT's, without the prefix ``base_model.model.``."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """``adapter_config.json``: what identifies the adapter, and entries that differ from PEFT's defaults."""
        raise NotImplementedError

    def writing(self, plan: Plan, arrays: Mapping[str, np.ndarray]) -> PeftFormat:
        """The format that trained ``arrays`` are written in."""
        return self

    def reading(self, config: Mapping[str, Any], plan: Plan) -> PeftFormat:
        """The format that a file with this ``adapter_config.json`` has."""
        return self

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Settings of ``config`` under which PEFT would compute something else than the plan."""
        raise NotImplementedError

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """Keys and shapes of an edit's arrays, in the order of its parameters."""
        raise NotImplementedError

    def export(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The edit's arrays, by name, under PEFT's keys."""
        return {key: arrays[p.name] for key, p in zip(self.shapes(edit), edit.parameters, strict=True)}

    def restore(self, edit: Edit, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inverse of ``export``."""
        return {p.name: tensors[key] for key, p in zip(self.shapes(edit), edit.parameters, strict=True)}

    def stored(self, key: str) -> str:
        """The key in the file: with PEFT's prefix, which depends on how its method holds the base model."""
        return PREFIX + key

    def constants(self, plan: Plan) -> dict[str, np.ndarray]:
        """Arrays that a file may hold besides trained ones and that the plan computes, by PEFT's keys with the whole
        prefix; those of a file that is read must be the same, see ``constant_problems``."""
        return {}

    def writes_constants(self, plan: Plan) -> bool:
        """Whether they are part of a file that is written."""
        return True

    def constant_problems(self, config: Mapping[str, Any], plan: Plan, held: Mapping[str, np.ndarray]) -> list[str]:
        """What is wrong with the constants that a file holds.

        Args:
            held: those of its arrays that are constants, by the same keys.
        """
        return []

    def trained_key(self, name: str, plan: Plan) -> str:
        """PEFT's key of a base parameter that is trained as it is; inside a wrapped module it moved to
        ``base_layer``."""
        path, leaf = name.rsplit(".", 1)
        wrapped = any(edit.path == path and edit.mode == "wrap" for edit in plan.edits)
        return f"{path}.base_layer.{leaf}" if wrapped else name


def lookup(config: Mapping[str, Any], entry: str, path: str, default: Any) -> Any:
    """Value of the first pattern of ``entry`` that matches ``path``, by PEFT's rule, in bounded time.

    Raises:
        InputError: the entry is no mapping, or a pattern is no regular expression or takes too long.
    """
    patterns = config.get(entry) or {}
    if not isinstance(patterns, Mapping):
        raise InputError(f"{entry} of {CONFIG_NAME} must map regular expressions to numbers; received {patterns!r}.")
    found = (
        value for pattern, value in patterns.items() if match_suffix_pattern(pattern, path, f"{entry} of {CONFIG_NAME}")
    )
    return next(found, default)


def listed_targets(paths: Sequence[str], spec: ModelSpec) -> list[str] | str:
    """``paths`` as PEFT's target_modules: as one regular expression where PEFT, which matches lists by dotted suffix,
    would find further modules."""
    others = {module.path for module in spec.modules} - set(paths)
    if any(other.endswith(f".{path}") for other in others for path in paths):
        return "|".join(re.escape(path) for path in paths)
    return list(paths)


def modules_to_save(plan: Plan, spec: ModelSpec) -> list[str]:
    """The task head by the names that PEFT copies and saves whole: the shortest path under which everything belongs to
    the head. PEFT adds such names of its own accord (``classifier``), and a module inside another would be copied
    twice."""
    others = [module.path for module in spec.modules if module.path not in plan.head]

    def of_head(root: str) -> bool:
        return not any(path == root or path.startswith(f"{root}.") for path in others)

    roots = []
    for path in plan.head:
        parts = path.split(".")
        roots += [next(root for n in range(len(parts)) if of_head(root := ".".join(parts[: n + 1])))]
    return list(dict.fromkeys(roots))
