"""Tuning of layer norms (Qi et al. 2022; Zhao et al. 2024): their weights and biases and the task head are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.methods.method import Method, MethodOptions
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.methods.targets import Target, match
from common.methods.unfreezing import head_parameters, merged_groups, norms
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "LayerNorm", "LayerNormOptions"]


@dataclass(frozen=True)
class LayerNormOptions(MethodOptions):
    """Patterns of the norms that are trained; by default all."""

    targets: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


class LayerNorm(Method):
    """Nothing is wrapped: base parameters are trained as they are."""

    name = "ln_tuning"
    Options = LayerNormOptions

    def plan(self, options: LayerNormOptions, spec: ModelSpec) -> Plan:
        """The weight and bias of every norm that ``targets`` match.

        Raises:
            InputError: a pattern matches no norm.
        """
        found = match([Target(pattern) for pattern in options.targets], options.exclude, spec, _is_norm)
        patterns: dict[str, tuple[str, ...]] = {}
        for one in found:
            patterns[one.target.pattern] = (*patterns.get(one.target.pattern, ()), one.module.path)
        trained = norms(spec, {one.module.path for one in found})
        unfrozen = merged_groups(head_parameters(spec), trained)
        return Plan(self.name, (), unfrozen, spec.head, self.artifact, options, tuple(patterns.items()))

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is a norm."""
        return any(map(_is_norm, modules))

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Every norm by its own path."""
        from common.methods.peft.ln_tuning import norms_of

        found = norms_of(settings, shapes)
        return None if found is None else {"method": self.name, "targets": found}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's LN tuning."""
        from common.methods.peft.ln_tuning import LayerNormFormat

        return LayerNormFormat()


def _is_norm(module: ModuleSpec) -> bool:
    return module.kind.norm


MEMBER = LayerNorm()
