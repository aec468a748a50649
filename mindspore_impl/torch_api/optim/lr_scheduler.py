"""``torch.optim.lr_scheduler``: arithmetic on the groups of an optimizer, which needs no framework."""

from __future__ import annotations

from typing import Any

from common.porting.schedules import *  # noqa: F403
from mindspore_impl.torch_api.lifting import missing


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.optim.lr_scheduler.{name}")
