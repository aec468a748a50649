"""Training the task head alone, the base model frozen: a linear probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.unfreezing import head_parameters, require_head
from common.models.specs import ModelSpec, ModuleSpec

__all__ = ["MEMBER"]


class Head(Method):
    """It has no options."""

    name = "head"
    needs_head = True

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """Whatever is below the head."""
        return True

    def plan(self, options: MethodOptions, spec: ModelSpec) -> Plan:
        """The head is trained; nothing is edited."""
        require_head(spec, self.name)
        return Plan(self.name, (), head_parameters(spec), spec.head, self.artifact, options)

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Of PEFT's container without targets."""
        from common.methods.peft.plain import is_container, trains_biases

        return {"method": self.name} if is_container(settings) and not trains_biases(settings) else None


MEMBER = Head()
