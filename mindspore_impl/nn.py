"""Mirrors pytorch_impl.nn; differs: each name is MindSpore's own cell where that was verified on this device, or an
adapter.

Modules start in training mode, as torch's do.
"""

from __future__ import annotations

from common.api_mapping.names import named
from mindspore_impl.mapping import bound
from mindspore_impl.shims.nn.base import training

_ROWS = named("torch.nn", kinds=("module",))
globals().update({name: training(cell) for name, cell in bound(_ROWS).items()})

__all__ = [*_ROWS]
