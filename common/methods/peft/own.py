"""Adapters of methods that PEFT does not have: canonical names, and the method's options in ``adapter_config.json``.
PEFT refuses such a folder, as it should."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from common.data.sources import portable_name
from common.edits import Edit
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.models.specs import ModelSpec
from common.tasks import TASKS

__all__ = ["OwnFormat", "section"]

#: options that do not change what is computed with given arrays: the arrays' keys show some, training alone reads others
_SHOWN = {"method", "targets", "exclude", "norms", "replaced", "init", "dropout"}


def section(settings: Mapping[str, Any], method: str) -> dict[str, Any] | None:
    """The options that a folder of ``method`` was written with; None where it is of another method."""
    if settings.get("twinlora_method") != method or not isinstance(settings.get("options"), Mapping):
        return None
    return {**settings["options"], "method": method}


class OwnFormat(PeftFormat):
    """Every edit's arrays as they are."""

    def config(self, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
        """The method and its options."""
        found = {"twinlora_method": plan.method, "options": _options(plan), "task_type": TASKS.get(spec.task).peft_type}
        return found | ({"base_model_name_or_path": portable_name(spec.source)} if spec.source else {})

    def problems(self, config: Mapping[str, Any], plan: Plan) -> list[str]:
        """It must be of the same method with the same options."""
        if config.get("twinlora_method") != plan.method:
            return [f"the method must be {plan.method}; the adapter's is {config.get('twinlora_method')!r}"]
        written, planned = config.get("options") or {}, json.loads(json.dumps(_options(plan)))
        return [
            f"{entry}: the adapter has {written[entry]!r}, the plan {value!r}"
            for entry, value in planned.items()
            if entry not in _SHOWN and entry in written and written[entry] != value
        ]

    def shapes(self, edit: Edit) -> dict[str, tuple[int, ...]]:
        """Canonical names."""
        return edit.shapes()


def _options(plan: Plan) -> dict[str, Any]:
    known = plan.options
    return dataclasses.asdict(known) if dataclasses.is_dataclass(known) and not isinstance(known, type) else {}
