"""`torch.optim.Adadelta`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from common.optimizers.adadelta import AdadeltaOptions

__all__ = ["rule"]


def rule(options: AdadeltaOptions) -> Callable[..., torch.optim.Optimizer]:
    """Makes the optimizer of groups of parameters; see `common.optimizers.adadelta`."""
    return partial(torch.optim.Adadelta, rho=options.rho, eps=options.epsilon)
