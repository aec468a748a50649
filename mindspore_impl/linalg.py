"""Mirrors pytorch_impl.linalg; differs: each name is MindSpore's own function where that was verified on this device, or an adapter."""

from __future__ import annotations

import mindspore as ms

from common.api_mapping import lock
from common.api_mapping.binding import bind, names
from mindspore_impl.mapping import resolve

_ROWS = names("torch.linalg")
globals().update(bind(_ROWS, lock.load(ms.get_context("device_target"), ms.__version__), resolve))

__all__ = [*_ROWS]
