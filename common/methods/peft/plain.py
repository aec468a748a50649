"""Adapters without adapter layers (a trained head, trained biases): PEFT's container of that sort is a LoRA adapter
that targets nothing and saves modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.data.sources import portable_name
from common.edits import Edit
from common.methods.peft.format import PeftFormat, modules_to_save
from common.methods.plan import BIAS, Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["NO_TARGETS", "PlainFormat", "is_container", "trains_biases"]

NO_TARGETS = "dummy-target-modules"  # PEFT's own word for an adapter that only has modules_to_save


def is_container(settings: Mapping[str, Any]) -> bool:
    """Whether an ``adapter_config.json`` is that of a container without adapter layers."""
    return settings.get("target_modules") in (NO_TARGETS, [NO_TARGETS])


def trains_biases(settings: Mapping[str, Any]) -> bool:
    """Whether an ``adapter_config.json`` says that biases are trained."""
    return settings.get("bias") not in (None, "none")


class PlainFormat(PeftFormat):
    """No edits; trained base parameters only."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """The container's entries."""
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "modules_to_save": modules_to_save(plan, spec),
            "bias": "all" if any(parameter.component == BIAS for parameter in plan.unfrozen) else None,
        }
        required = {
            "peft_type": "LORA",
            "task_type": TASKS.get(spec.task).peft_type,
            "r": 8,
            "lora_alpha": 8,
            "target_modules": NO_TARGETS,
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """It must be such a container."""
        if config.get("target_modules") == NO_TARGETS:
            return []
        return [f"target_modules must be {NO_TARGETS!r}; received {config.get('target_modules')!r}"]

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """There are no edits."""
        return {}
