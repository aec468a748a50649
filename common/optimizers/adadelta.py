"""Adadelta (Zeiler 2012)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.config.schema import OptimizationConfig
from common.optimizers.optimizer import Optimizer, probabilities

__all__ = ["MEMBER", "Adadelta", "AdadeltaOptions"]


@dataclass(frozen=True)
class AdadeltaOptions(OptimizationConfig):
    """Decay rate of the averages. The published rule has a ``learning_rate`` of 1."""

    rho: float = 0.9  #: of both averages
    epsilon: float = 1e-6  #: added to both averages

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        yield from super().problems()
        yield from probabilities(self, "rho")
        if self.epsilon <= 0:
            yield "epsilon", f"must be greater than 0; received {self.epsilon!r}"


class Adadelta(Optimizer):
    """With g the gradient plus decay times p:

    v = rho v + (1 - rho) g^2
    d = sqrt(u + eps) / sqrt(v + eps) g
    u = rho u + (1 - rho) d^2
    p = p - lr d
    """

    name = "adadelta"
    Options = AdadeltaOptions

    def slots(self, options: AdadeltaOptions) -> tuple[str, ...]:
        """v and u."""
        return ("square_avg", "acc_delta")


MEMBER = Adadelta()
