"""Integers: every weight becomes integers with a scale for each output; what a product reads can be quantised as
well."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.compression.narrow import Narrow
from common.compression.transform import Needs, TransformOptions
from common.errors import InputError
from common.models.layers.scaled_integers import MEMBER as INTEGERS_LAYER
from common.models.layers.scaled_integers import IntegerArguments, stored
from common.models.modules import ModuleSpec
from common.quantisation.integers import largest

__all__ = ["MEMBER", "Int8", "Int8Options"]


@dataclass(frozen=True)
class Int8Options(TransformOptions):
    """All have defaults. Embeddings are named beside ``all-linear``."""

    bits: int = 8  #: of a weight; of four bits or fewer two share a byte
    #: ``token``: products of integers, the input quantised by the largest of each token while it runs; ``tensor``: by
    #: the largest that was observed on data; ``none``: weights alone, multiplied by their scales before the product
    activations: Literal["token", "tensor", "none"] = "token"

    def problems(self) -> Iterator[tuple[str, str]]:
        """A value out of range."""
        yield from super().problems()
        if not 2 <= self.bits <= 8:
            yield "bits", f"must be from 2 to 8; received {self.bits}"
        if any(target.rank is not None for target in self.targets):
            yield "targets", "have no rank here"


class Int8(Narrow):
    """Replaces linear layers, in either weight layout, and embeddings."""

    name = "int8"
    Options = Int8Options
    layer = INTEGERS_LAYER

    def needed(self, options: Int8Options) -> Needs:
        """Ranges of the inputs, where they decide the scale."""
        return "ranges" if options.activations == "tensor" else "nothing"

    def under_adapters(self) -> Int8Options:
        """Weights alone."""
        return Int8Options(activations="none")

    def arguments(self, module: ModuleSpec, options: Int8Options) -> IntegerArguments:
        """Of a table, whose input is ids, the weight alone is quantised."""
        return IntegerArguments(options.bits, "none" if module.kind.lookup else options.activations)

    def stored(
        self, module: ModuleSpec, weight: np.ndarray, arguments: IntegerArguments, ranges: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """Integers, scales, and the scale of the input where it was observed."""
        scale = _input_scale(module, ranges, arguments) if arguments.activations == "tensor" else None
        return stored(module, weight, arguments, scale)

    def example(self, targets: Sequence[str]) -> Int8Options:
        """Weights alone: an input that rounding moves from one integer to the next would show in every comparison."""
        return dataclasses.replace(super().example(targets), activations="none")


def _input_scale(module: ModuleSpec, ranges: Mapping[str, float], arguments: IntegerArguments) -> float:
    found = ranges.get(module.path, 0.0)
    if not np.isfinite(found) or found <= 0:
        raise InputError(
            f"The input of {module.path} must have been seen, and be finite, for its scale; its largest absolute value "
            f"is {found}. Give other examples (--data, --samples), or set activations=token."
        )
    return float(np.float32(found) / np.float32(largest(arguments.activation_bits)))


MEMBER = Int8()
