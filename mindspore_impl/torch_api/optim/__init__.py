"""``torch.optim``."""

from __future__ import annotations

from typing import Any

from common.porting import schedules
from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.optim import lr_scheduler
from mindspore_impl.torch_api.optim.algorithms import *  # noqa: F403
from mindspore_impl.torch_api.optim.optimizer import Optimizer
from mindspore_impl.torch_api.optim.stateful import LBFGS, Adafactor

__all__ = ["LBFGS", "Adafactor", "Optimizer", "lr_scheduler", "schedules"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.optim.{name}")
