"""(IA)^3 in PEFT's format. A vector for slices of a fused projection is written for the whole of it, one elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.data.sources import portable_name
from common.edits import Edit
from common.errors import InputError
from common.methods.ia3 import placed
from common.methods.peft.format import PeftFormat, listed_targets, modules_to_save
from common.methods.plan import Plan
from common.models.modules import slice_features
from common.models.specs import ModelSpec
from common.patterns import match_suffix_pattern
from common.tasks import TASKS

__all__ = ["IA3Format"]

_KNOWN = {
    *("peft_type", "task_type", "target_modules", "feedforward_modules", "exclude_modules", "modules_to_save"),
    *("fan_in_fan_out", "init_ia3_weights", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping"),
    "peft_version",
}


class IA3Format(PeftFormat):
    """``ia3_l`` of every edit: (1, in) of inputs, (out, 1) of outputs."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """Targets, and which of them are scaled by their input."""
        inputs = [edit.path for edit in plan.edits if edit.arguments.of_input]
        required = {
            "peft_type": "IA3",
            "task_type": TASKS.get(spec.task).peft_type,
            "target_modules": listed_targets([edit.path for edit in plan.edits], spec),
            "feedforward_modules": listed_targets(inputs, spec) if inputs else [],
        }
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "modules_to_save": modules_to_save(plan, spec),
            "fan_in_fan_out": any(edit.module.kind.transposed for edit in plan.edits),
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Another method, other layers whose inputs are scaled, and settings that are not supported."""
        problems = []
        if config.get("peft_type") != "IA3":
            problems.append(f"peft_type must be 'IA3'; received {config.get('peft_type')!r}")
        problems += [
            f"{key} = {value!r} is not supported" for key, value in config.items() if value and key not in _KNOWN
        ]
        written = config.get("feedforward_modules") or []
        for edit in plan.edits:
            there = _names(written, edit.path)
            if there != edit.arguments.of_input:
                of = {True: "input", False: "output"}
                problems.append(f"{edit.path}: the adapter scales its {of[there]}, the plan its {of[not there]}")
        return problems

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """One vector, as a matrix with one row or column."""
        module = edit.module
        shape = (1, module.in_features) if edit.arguments.of_input else (module.out_features, 1)
        return {f"{edit.path}.ia3_l": shape}

    def export(self, edit: Edit, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ones where no slice is scaled."""
        ((key, shape),) = self.shapes(edit).items()
        return {key: placed(edit, arrays[edit.parameters[0].name]).reshape(shape)}

    def restore(self, edit: Edit, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises InputError where features outside of the plan's slices are scaled."""
        whole = tensors[f"{edit.path}.ia3_l"].reshape(-1)
        slices = slice_features(edit.arguments.slices)
        scale = np.concatenate([whole[features] for features in slices.values()]) if slices else whole
        if not np.array_equal(placed(edit, scale), whole):
            raise InputError(
                f"(IA)^3 of slices [{','.join(slices)}] scales their own outputs; the adapter "
                f"scales others of {edit.path}. Target the whole projection instead: {edit.path!r}."
            )
        return {edit.parameters[0].name: scale}


def _names(written: Any, path: str) -> bool:
    """Whether PEFT's entry, a pattern or a list of suffixes, names the module at ``path``."""
    if isinstance(written, str):
        return match_suffix_pattern(written, path)
    return any(path == name or path.endswith(f".{name}") for name in written)
