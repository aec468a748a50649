"""The functions of `torch.linalg` that the mapping has a row for; `mindspore_impl.linalg` offers the same ones."""

from __future__ import annotations

from common.api_mapping.names import named
from pytorch_impl.mapping import bound

_ROWS = named("torch.linalg")
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
