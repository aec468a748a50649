"""The functions of `torch.special` that the mapping has a row for; `mindspore_impl.special` offers the same ones."""

from __future__ import annotations

from common.api_mapping.names import named
from pytorch_impl.mapping import bound

_ROWS = named("torch.special")
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
