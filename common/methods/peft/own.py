"""Adapters of methods that PEFT does not have: canonical names, and the method's options in ``adapter_config.json``.
PEFT refuses such a folder, as it should."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from common.edits import Edit
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["OwnFormat"]


class OwnFormat(PeftFormat):
    """Every edit's arrays as they are."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """The method and its options."""
        known = plan.options
        options = dataclasses.asdict(known) if dataclasses.is_dataclass(known) and not isinstance(known, type) else {}
        found = {"twinlora_method": plan.method, "options": options, "task_type": TASKS.get(spec.task).peft_type}
        return found | ({"base_model_name_or_path": spec.source} if spec.source else {})

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """It must be of the same method with the same options."""
        if config.get("twinlora_method") != plan.method:
            return [f"the method must be {plan.method}; the adapter's is {config.get('twinlora_method')!r}"]
        return []

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """Canonical names."""
        return edit.shapes()
