"""BitFit (Ben Zaken et al. 2021): only the biases and the task head are trained, and nothing is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import InputError
from common.methods.method import Method, MethodOptions
from common.methods.plan import Plan
from common.methods.targets import Target, match
from common.methods.unfreezing import biases, head_parameters, merged_groups
from common.models.modules import ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "BitFit", "BitFitOptions"]


@dataclass(frozen=True)
class BitFitOptions(MethodOptions):
    """Patterns of the modules whose bias is trained. The paper's small variant, the biases of the queries and of the
    first feed-forward layer (its b_m2), is ``["*.query", "*.intermediate.dense"]`` under BERT's names; ``exclude:
    ["*LayerNorm"]`` leaves out those of the norms."""

    targets: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


class BitFit(Method):
    """Its adapters are PEFT's LoRA without targets and with ``bias: all``."""

    name = "bitfit"
    Options = BitFitOptions

    def plan(self, options: BitFitOptions, spec: ModelSpec) -> Plan:
        """The biases of the modules that ``targets`` match.

        Raises:
            InputError: a pattern matches no module with a bias, or names a slice, whose bias is part of a larger one; or
                the network has no bias.
        """
        if not self.suits(spec.modules):
            raise InputError(
                f"BitFit trains biases, and this {spec.family} network has none. Use another method, such as lora or ln_tuning."
            )
        patterns: dict[str, tuple[str, ...]] = {}
        for found in match(tuple(map(Target, options.targets)), options.exclude, spec, _has_bias):
            pattern, path = found.target.pattern, found.module.path
            if found.slices:
                raise InputError(
                    f"A bias is trained whole; {pattern!r} names slices of {path}. Leave out the brackets, which adds "
                    f"the biases of its other slices, or leave out the pattern."
                )
            patterns[pattern] = (*patterns.get(pattern, ()), path)
        trained = biases(spec, {path for paths in patterns.values() for path in paths}, added=True)
        unfrozen = merged_groups(head_parameters(spec), trained)
        return Plan(self.name, (), unfrozen, spec.head, self.artifact, options, tuple(patterns.items()))

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is a bias."""
        return any(map(_has_bias, modules))

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Of PEFT's container without targets, with biases."""
        from common.methods.peft.plain import is_container, trains_biases

        return {"method": self.name} if is_container(settings) and trains_biases(settings) else None


def _has_bias(module: ModuleSpec) -> bool:
    return bool(module.biases())


MEMBER = BitFit()
