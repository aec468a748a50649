"""Full fine-tuning: every parameter is trained, and the result is a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.unfreezing import everything
from common.models.specs import ModelSpec, ModuleSpec

__all__ = ["MEMBER"]


class Full(Method):
    """It has no options."""

    name = "full"
    artifact = "checkpoint"

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """Every network has parameters."""
        return True

    def plan(self, options: MethodOptions, spec: ModelSpec) -> Plan:
        """Everything is trained; nothing is edited."""
        return Plan(self.name, (), everything(spec), spec.head, self.artifact, options)


MEMBER = Full()
