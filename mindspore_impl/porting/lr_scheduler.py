"""``torch.optim.lr_scheduler``: arithmetic on ``optimizer.param_groups``, which the optimizers of `mindspore_impl.optim`
have."""

from __future__ import annotations

from common.porting import schedules
from common.porting.schedules import *  # noqa: F403

__all__ = [*schedules.__all__]
