"""Mirrors pytorch_impl.fft; differs: each name is MindSpore's own function where that was verified on this device,
or an adapter."""

from __future__ import annotations

from common.api_mapping.names import named
from mindspore_impl.mapping import bound

_ROWS = named("torch.fft")
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
