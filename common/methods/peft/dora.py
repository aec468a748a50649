"""DoRA in PEFT's format: LoRA with ``use_dora`` and a magnitude vector for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.edits import Edit
from common.methods.peft.lora import LoraFormat
from common.methods.plan import Plan
from common.models.specs import ModelSpec

__all__ = ["DoraFormat"]


class DoraFormat(LoraFormat):
    """``lora_A``, ``lora_B`` and ``lora_magnitude_vector``."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """LoRA's entries."""
        return super().config(plan, spec) | {"use_dora": True}

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """As LoRA's; it must say that it is DoRA."""
        missing = [] if config.get("use_dora") is True else ["use_dora must be true: the adapter is plain LoRA"]
        return missing + super().problems({key: value for key, value in config.items() if key != "use_dora"}, plan)

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """The magnitudes last."""
        return {**super().shapes(edit), f"{edit.path}.lora_magnitude_vector": (edit.module.out_features,)}

    def export(self, edit, arrays):
        """As they are: DoRA has no slices."""
        return {key: arrays[p.name] for key, p in zip(self.shapes(edit), edit.parameters, strict=True)}

    def restore(self, edit, tensors):
        """Inverse of ``export``."""
        return {p.name: tensors[key] for key, p in zip(self.shapes(edit), edit.parameters, strict=True)}
