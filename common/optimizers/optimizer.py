"""The contract of an optimizer: its settings, and what it keeps between steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from common.config.schema import OptimizationConfig

__all__ = ["Optimizer", "probabilities"]


class Optimizer:
    """One rule that updates parameters, with the names, the defaults and the arithmetic of ``torch.optim``.

    Every parameter gets the same treatment around the rule, whichever it is: gradients are clipped by their global norm
    first; `common.methods.plan.Plan` says which parameters decay and by which factor the learning rate of each is
    larger; rows are bounded afterwards (`common.optimizers.bounding`).
    """

    name: ClassVar[str]
    Options: ClassVar[type[OptimizationConfig]]  #: the section ``optimization`` where the optimizer is chosen
    decoupled: ClassVar[bool] = False  #: weight decay shrinks the parameter; else it is added to the gradient

    def slots(self, options: Any) -> tuple[str, ...]:
        """Names, as in ``torch.optim``, of the arrays that it keeps of every parameter, each of the parameter's shape
        and 0 at the start."""
        raise NotImplementedError


def probabilities(options: OptimizationConfig, *names: str) -> Iterator[tuple[str, str]]:
    """The faults of settings that must be at least 0 and less than 1."""
    for name in names:
        value = getattr(options, name)
        if not 0 <= value < 1:
            yield name, f"must be at least 0 and less than 1; received {value!r}"
