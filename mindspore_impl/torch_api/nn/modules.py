"""``torch.nn.modules``: the same classes as ``torch.nn``."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from mindspore_impl.torch_api import nn

    return getattr(nn, name)
