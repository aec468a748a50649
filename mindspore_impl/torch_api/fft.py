"""``torch.fft``: the mapping's functions."""

from __future__ import annotations

from typing import Any

from common.api_mapping.names import named
from mindspore_impl.torch_api.lifting import missing, names_of

globals().update(names_of(named("torch.fft")))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing(f"torch.fft.{name}")
