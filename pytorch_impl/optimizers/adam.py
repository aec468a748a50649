"""`torch.optim.Adam`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from common.optimizers.adam import AdamOptions

__all__ = ["rule"]


def rule(options: AdamOptions) -> Callable[..., torch.optim.Optimizer]:
    """Makes the optimizer of groups of parameters; see `common.optimizers.adam`."""
    return partial(torch.optim.Adam, betas=(options.beta1, options.beta2), eps=options.epsilon)
