"""The functions of `torch.fft` that the mapping has a row for; `mindspore_impl.fft` offers the same ones."""

from __future__ import annotations

from common.api_mapping.names import named
from pytorch_impl.mapping import bound

_ROWS = named("torch.fft")
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
