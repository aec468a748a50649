"""``torch.cuda``: there is none. A process of MindSpore has one device, chosen before the import."""

from __future__ import annotations

from typing import Any

from mindspore_impl.torch_api import amp
from mindspore_impl.torch_api.lifting import missing

__all__ = ["amp", "device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all", "synchronize"]


def is_available() -> bool:
    """False: networks then use the CPU's name, which stands for this process's device."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: `torch.manual_seed` seeds everything."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing."""


def synchronize(device: Any = None) -> None:
    """Wait for what was started."""
    import mindspore

    mindspore.runtime.synchronize()


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.cuda.{name}")
