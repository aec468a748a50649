"""The modules of `torch.nn` that the mapping has a row for; `mindspore_impl.nn` offers the same ones, with the same
parameters."""

from __future__ import annotations

from common.api_mapping.names import named
from pytorch_impl.mapping import bound

_ROWS = named("torch.nn", kinds=("module",))
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
