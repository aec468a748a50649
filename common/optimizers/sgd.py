"""Stochastic gradient descent, with or without momentum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.config.schema import OptimizationConfig
from common.optimizers.optimizer import Optimizer, probabilities

__all__ = ["MEMBER", "SGD", "SGDOptions"]


@dataclass(frozen=True)
class SGDOptions(OptimizationConfig):
    """Momentum."""

    momentum: float = 0.0  #: factor of the sum of past gradients
    nesterov: bool = False  #: follow the gradient plus momentum times the sum that holds it already

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range or does not fit together."""
        yield from super().problems()
        yield from probabilities(self, "momentum")
        if self.nesterov and not self.momentum:
            yield "nesterov", "needs a momentum; set optimization.momentum, or nesterov to false"


class SGD(Optimizer):
    """With g the gradient plus decay times p:

    b = momentum b + g
    p = p - lr b,   or p - lr (g + momentum b) with Nesterov's
    """

    name = "sgd"
    Options = SGDOptions

    def slots(self, options: SGDOptions) -> tuple[str, ...]:
        """b, where there is a momentum."""
        return ("momentum_buffer",) if options.momentum else ()


MEMBER = SGD()
