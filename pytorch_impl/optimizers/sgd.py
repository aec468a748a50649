"""`torch.optim.SGD`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from common.optimizers.sgd import SGDOptions

__all__ = ["rule"]


def rule(options: SGDOptions) -> Callable[..., torch.optim.Optimizer]:
    """Makes the optimizer of groups of parameters; see `common.optimizers.sgd`."""
    return partial(torch.optim.SGD, momentum=options.momentum, nesterov=options.nesterov)
