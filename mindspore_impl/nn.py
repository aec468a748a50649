"""Mirrors pytorch_impl.nn; differs: each name is MindSpore's own cell where that was verified on this device, or an adapter.

Modules start in training mode, as torch's do.
"""

from __future__ import annotations

import mindspore as ms

from common.api_mapping import lock
from common.api_mapping.binding import bind, names
from mindspore_impl.mapping import resolve
from mindspore_impl.shims.nn.base import training

_ROWS = names("torch.nn", kinds=("module",))
_BOUND = bind(_ROWS, lock.load(ms.get_context("device_target"), ms.__version__), resolve)
globals().update({name: training(cell) for name, cell in _BOUND.items()})

__all__ = [*_ROWS]
