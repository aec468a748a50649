"""``torch.amp``: automatic mixed precision, which is off.

Code that switches it on asks for float16 or bfloat16 in places that this surface does not choose; that is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mindspore_impl.torch_api.lifting import missing
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["GradScaler", "autocast", "is_autocast_available", "is_autocast_enabled"]


def is_autocast_enabled(device_type: Any = None) -> bool:
    """False."""
    return False


def is_autocast_available(device_type: str) -> bool:
    """False."""
    return False


class autocast:  # noqa: N801  (torch's name)
    """A block without mixed precision.

    Raises:
        NotImplementedError: ``enabled`` is not False.
    """

    def __init__(self, device_type: Any = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: Any = None):
        if enabled:
            raise NotImplementedError(
                "torch.autocast is not available on MindSpore: which operations run in which dtype was not verified. "
                "Pass enabled=False, or cast the model: model.bfloat16()."
            )

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            return function(*arguments, **keywords)

        return call


class GradScaler:
    """A scaler of losses that is switched off, as torch's is where there is no CUDA.

    Raises:
        NotImplementedError: ``enabled`` is not False and the device is an accelerator.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if enabled and device != "cuda":
            raise NotImplementedError(
                f"GradScaler(device={device!r}) is not available on MindSpore: scaling is for float16 of autocast. Pass "
                "enabled=False."
            )

    def is_enabled(self) -> bool:
        return False

    def scale(self, outputs: Tensor) -> Tensor:
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing."""

    def step(self, optimizer: Any, *arguments: Any, **keywords: Any) -> Any:
        return optimizer.step(*arguments, **keywords)

    def update(self, new_scale: Any = None) -> None:
        """Nothing."""

    def get_scale(self) -> float:
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.amp.{name}")
