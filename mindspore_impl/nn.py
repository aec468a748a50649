"""Mirrors pytorch_impl.nn; differs: each name is MindSpore's own cell where that was verified on this device, or an adapter."""

from __future__ import annotations

import mindspore as ms

from common.api_mapping import lock
from common.api_mapping.binding import bind, names
from mindspore_impl.mapping import resolve

_ROWS = names("torch.nn", kinds=("module",))
globals().update(bind(_ROWS, lock.load(ms.get_context("device_target"), ms.__version__), resolve))

__all__ = [*_ROWS]
