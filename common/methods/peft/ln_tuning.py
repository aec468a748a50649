"""Trained layer norms in PEFT's format (``LN_TUNING``): a copy of each norm beside the base model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.data.sources import portable_name
from common.edits import Edit
from common.methods.peft.format import PeftFormat, listed_targets, modules_to_save
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["LayerNormFormat", "norms_of"]

_KEPT = "ln_tuning_layers"

_KNOWN = {
    *("peft_type", "task_type", "target_modules", "exclude_modules", "modules_to_save", "auto_mapping", "peft_version"),
    *("base_model_name_or_path", "revision", "inference_mode"),
}


def _norms(plan: Plan) -> list[str]:
    found = (p.name.rpartition(".")[0] for p in plan.unfrozen if p.component == "layer_norm")
    return list(dict.fromkeys(found))


def norms_of(settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[str] | None:
    """The paths of the norms in an adapter folder; None where it is of another type."""
    if settings.get("peft_type") != "LN_TUNING":
        return None
    return list(dict.fromkeys(key.partition(f".{_KEPT}.")[0] for key in shapes if f".{_KEPT}." in key))


class LayerNormFormat(PeftFormat):
    """``ln_tuning_layers`` in every norm."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """The norms, and the head."""
        required = {
            "peft_type": "LN_TUNING",
            "task_type": TASKS.get(spec.task).peft_type,
            "target_modules": listed_targets(_norms(plan), spec),
        }
        optional = {
            "base_model_name_or_path": portable_name(spec.source),
            "modules_to_save": modules_to_save(plan, spec),
        }
        return required | {key: value for key, value in optional.items() if value}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """Another method, or settings that are not supported."""
        problems = []
        if config.get("peft_type") != "LN_TUNING":
            problems.append(f"peft_type must be 'LN_TUNING'; received {config.get('peft_type')!r}")
        return problems + [
            f"{key} = {value!r} is not supported" for key, value in config.items() if value and key not in _KNOWN
        ]

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """There are no edits."""
        return {}

    def trained_key(self, name: str, plan: Plan) -> str:
        """Norms are kept in ``ln_tuning_layers``."""
        path, leaf = name.rsplit(".", 1)
        return f"{path}.{_KEPT}.{leaf}" if path in _norms(plan) else name
