"""NF4 (Dettmers et al. 2023, QLoRA): weights in 4 bits by the quantiles of a normal distribution, as a frozen base
under adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from common.compression.narrow import Narrow
from common.compression.transform import TransformOptions
from common.models.layers.normal_float import MEMBER as NORMAL_FLOAT_LAYER
from common.models.layers.normal_float import NormalFloatArguments, stored
from common.models.modules import ModuleSpec

__all__ = ["MEMBER", "Nf4", "Nf4Options"]


@dataclass(frozen=True)
class Nf4Options(TransformOptions):
    """Embeddings are named beside ``all-linear``."""

    double: bool = True  #: quantise the scales too: 4.127 bits a weight instead of 4.5

    def problems(self) -> Iterator[tuple[str, str]]:
        """A target with a rank."""
        yield from super().problems()
        if any(target.rank is not None for target in self.targets):
            yield "targets", "have no rank here"


class Nf4(Narrow):
    """Replaces linear layers, in either weight layout, and embeddings of whole blocks."""

    name = "nf4"
    Options = Nf4Options
    layer = NORMAL_FLOAT_LAYER

    def arguments(self, module: ModuleSpec, options: Nf4Options) -> NormalFloatArguments:
        """The same for every module."""
        return NormalFloatArguments(options.double)

    def stored(
        self, module: ModuleSpec, weight: np.ndarray, arguments: NormalFloatArguments, ranges: Mapping[str, float]
    ) -> dict[str, np.ndarray]:
        """See `common.quantisation.normal_floats`."""
        return stored(module, weight, arguments)


MEMBER = Nf4()
