"""``torch.utils``."""

from __future__ import annotations

from typing import Any

from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.utils import data

__all__ = ["data"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.utils.{name}")
