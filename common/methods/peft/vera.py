"""VeRA in PEFT's format: two vectors for each layer, and the matrices that all share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.data.sources import portable_name
from common.edits import Edit
from common.methods.peft.format import PeftFormat, listed_targets, modules_to_save
from common.methods.plan import Plan
from common.methods.vera import projections
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["VeraFormat", "section"]

_A, _B = "base_model.vera_A", "base_model.vera_B"
_VECTOR = ".vera_lambda_d"
_ROUNDING = 1e-6  #: of a uniform number, whose last bit depends on how torch was compiled
_KNOWN = {
    *("peft_type", "task_type", "r", "target_modules", "exclude_modules", "projection_prng_key", "save_projection"),
    *("vera_dropout", "d_initial", "fan_in_fan_out", "bias", "modules_to_save", "init_weights", "layers_to_transform"),
    *("layers_pattern", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version"),
}


def section(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Targets, rank, seed and biases of an adapter folder; None where it is of another type."""
    ranks = {key.removesuffix(_VECTOR): shape[0] for key, shape in shapes.items() if key.endswith(_VECTOR) and shape}
    if settings.get("peft_type") != "VERA" or not ranks:
        return None
    return {
        "targets": list(ranks),
        "rank": next(iter(ranks.values())),
        "projection_seed": settings.get("projection_prng_key", 0),
        "save_projection": bool(settings.get("save_projection", True)),
        "bias": settings.get("bias") or "none",
    }


class VeraFormat(PeftFormat):
    """``vera_lambda_d`` and ``vera_lambda_b`` of every edit; ``vera_A`` and ``vera_B`` once."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """Rank, seed and targets."""
        arguments = plan.edits[0].arguments
        required = {
            "peft_type": "VERA",
            "task_type": TASKS.get(spec.task).peft_type,
            "r": arguments.rank,
            "target_modules": listed_targets([edit.path for edit in plan.edits], spec),
            "projection_prng_key": arguments.projections.seed,
            "save_projection": plan.options.save_projection,
            "d_initial": plan.options.d_initial,
        }
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "modules_to_save": modules_to_save(plan, spec),
            "fan_in_fan_out": any(edit.module.kind.transposed for edit in plan.edits),
            "bias": plan.options.bias if plan.options.bias != "none" else None,
            "vera_dropout": arguments.dropout,
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Another method, rank or seed, and settings that are not supported."""
        problems = []
        if config.get("peft_type") != "VERA":
            problems.append(f"peft_type must be 'VERA'; received {config.get('peft_type')!r}")
        problems += [
            f"{key} = {value!r} is not supported" for key, value in config.items() if value and key not in _KNOWN
        ]
        which = plan.edits[0].arguments.projections
        for entry, default, planned in (("r", 256, which.rank), ("projection_prng_key", 0, which.seed)):
            if config.get(entry, default) != planned:
                problems.append(f"{entry}: the adapter has {config.get(entry, default)!r}, the plan {planned}")
        return problems

    def constants(self, plan: Plan) -> dict[str, np.ndarray]:
        """The two matrices."""
        return dict(zip((_A, _B), projections(plan.edits[0].arguments.projections), strict=True))

    def writes_constants(self, plan: Plan) -> bool:
        """As ``save_projection`` says."""
        return plan.options.save_projection

    def constant_problems(self, config: Mapping[str, Any], plan: Plan, held: Mapping[str, np.ndarray]) -> list[str]:
        """Matrices that are missing although the file should hold them, or that are others than the seed gives."""
        problems = []
        for key, planned in self.constants(plan).items():
            if key not in held:
                if config.get("save_projection", True):
                    problems.append(f"{key} is missing, which save_projection says is there")
            elif held[key].shape != planned.shape:
                problems.append(f"{key} must be {planned.shape}; received {held[key].shape}")
            elif np.abs(held[key] - planned).max() > _ROUNDING * np.abs(planned).max():
                problems.append(f"{key} is another matrix than projection_prng_key gives")
        return problems

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """As here."""
        return edit.shapes()
