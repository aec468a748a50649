"""Prefix tuning (Li and Liang 2021): trained keys and values before those of the sequence, in every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from common.edits import Edit, Init, Normal, ParameterSpec, Uniform, Zeros
from common.errors import InputError
from common.methods.peft.format import PeftFormat
from common.methods.plan import Plan
from common.methods.prepending import PrependArguments, Prepending, PrependOptions, linear_init
from common.models.modules import ATTENTION, ModuleSpec
from common.models.specs import ModelSpec

__all__ = ["MEMBER", "Prefix", "PrefixArguments", "PrefixOptions", "projected"]


@dataclass(frozen=True)
class PrefixOptions(PrependOptions):
    """``projection`` makes keys and values by an MLP of two layers from one embedding a token, which is trained
    instead of them."""

    projection: bool = False
    hidden: int | None = None  #: width of the MLP; that of the model by default
    start: Literal["random", "zero"] = "random"  #: of keys and values; zero ones are attended to and add nothing

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range, or belongs to the projection."""
        yield from super().problems()
        if self.hidden is not None and self.hidden < 1:
            yield "hidden", f"must be greater than 0; received {self.hidden!r}"
        if self.hidden is not None and not self.projection:
            yield "hidden", "is the width of the projection, which is off. Set projection to true or leave it out"


@dataclass(frozen=True)
class PrefixArguments(PrependArguments):
    """With the projection's width; 0 without one."""

    hidden: int = 0


def projected(edit: Edit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Keys and values ``(tokens, layers * 2 * width of the keys)`` of every layer in turn; those of a projection in float64."""
    own = {parameter.leaf: arrays[parameter.name] for parameter in edit.parameters}
    if not edit.arguments.hidden:
        return own["prefix"]
    own = {leaf: array.astype(np.float64) for leaf, array in own.items()}
    inner = np.tanh(own["prefix_embedding"] @ own["prefix_down_weight"].T + own["prefix_down_bias"])
    return inner @ own["prefix_up_weight"].T + own["prefix_up_bias"]


class Prefix(Prepending):
    """Trains keys and values, or what makes them, and the task head."""

    name = "prefix"
    layer = "prefix"
    Options = PrefixOptions

    def width(self, table: ModuleSpec, attentions: Sequence[ModuleSpec]) -> int:
        """Of keys and values, which tables may be narrower than."""
        return attentions[0].in_features

    def arguments(self, options: PrefixOptions, sizes: PrependArguments) -> PrefixArguments:
        """The projection's width."""
        return PrefixArguments(**vars(sizes), hidden=(options.hidden or sizes.width) if options.projection else 0)

    def parameters(
        self, options: PrefixOptions, sizes: PrependArguments, path: str, spec: ModelSpec
    ) -> tuple[ParameterSpec, ...]:
        """``prefix`` (tokens, layers * 2 * width of the keys); with a projection ``prefix_embedding`` (tokens, width) and the two
        layers ``prefix_down`` and ``prefix_up``."""
        every, width, zero = 2 * sizes.layers * sizes.kept, sizes.width, options.start == "zero"

        def of(leaf: str, shape: tuple[int, ...], init: Init) -> ParameterSpec:
            return ParameterSpec(f"{path}.{leaf}", shape, "prefix", init, decay=len(shape) > 1)

        if not options.projection:
            return (of("prefix", (sizes.tokens, every), Zeros() if zero else Normal(1.0)),)
        hidden = options.hidden or width
        last: Init = Zeros() if zero else Uniform(linear_init(hidden))
        return (
            of("prefix_embedding", (sizes.tokens, width), Normal(1.0)),
            of("prefix_down_weight", (hidden, width), Uniform(linear_init(width))),
            of("prefix_down_bias", (hidden,), Uniform(linear_init(width))),
            of("prefix_up_weight", (every, hidden), last),
            of("prefix_up_bias", (every,), last),
        )

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Without a projection, unless the folder holds it, which PEFT's own do not."""
        from common.methods.peft.prefix import prefix_section

        found = prefix_section(settings, shapes)
        return None if found is None else {"method": self.name, **found}

    def plan(self, options: Any, spec: ModelSpec) -> Plan:
        """One edit, of the table of the words.

        Raises:
            InputError: the network is of no family that is described here, or its attention takes no keys and values.
        """
        if not self.suits(spec.modules) and super().suits(spec.modules):
            raise InputError(
                "Prefix tuning needs an attention that takes keys and values before those of the sequence; that of "
                f"{spec.family} takes none in transformers. Use virtual tokens that are embeddings, or a method with targets."
            )
        return super().plan(options, spec)

    def suits(self, modules: Sequence[ModuleSpec]) -> bool:
        """There is attention, and it takes keys and values before those of the sequence."""
        attentions = [module for module in modules if module.kind is ATTENTION]
        return bool(attentions) and all(module.arguments.past for module in attentions)

    @property
    def peft(self) -> PeftFormat:
        """PEFT's prefix tuning."""
        from common.methods.peft.prefix import PrefixFormat

        return PrefixFormat()


MEMBER = Prefix()
