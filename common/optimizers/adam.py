"""Adam (Kingma and Ba 2015); weight decay is added to the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.config.schema import OptimizationConfig
from common.optimizers.optimizer import Optimizer, probabilities

__all__ = ["MEMBER", "Adam", "AdamOptions"]


@dataclass(frozen=True)
class AdamOptions(OptimizationConfig):
    """Decay rates of the moments."""

    beta1: float = 0.9  #: of the average of gradients
    beta2: float = 0.999  #: of the average of squared gradients
    epsilon: float = 1e-8  #: added to the root, after the bias correction

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        yield from super().problems()
        yield from probabilities(self, "beta1", "beta2")
        if self.epsilon <= 0:
            yield "epsilon", f"must be greater than 0; received {self.epsilon!r}"


class Adam(Optimizer):
    """With g the gradient plus decay times p, and t the step from 1:

    m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
    p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
    """

    name = "adam"
    Options = AdamOptions

    def slots(self, options: AdamOptions) -> tuple[str, ...]:
        """m and v."""
        return ("exp_avg", "exp_avg_sq")


MEMBER = Adam()
