"""Mirrors pytorch_impl.optim; differs: MindSpore keeps no gradient in a parameter, so an optimizer is called with the gradients by name:
``optimizer(gradients)``, where ``gradients`` come from ``ms.grad(..., return_ids=True)``.

Each name is MindSpore's own optimizer where that was verified on this device, or an adapter.
"""

from __future__ import annotations

import mindspore as ms

from common.api_mapping import lock
from common.api_mapping.binding import bind, names
from mindspore_impl.mapping import resolve

_ROWS = names("torch.optim", kinds=("optimizer",))
globals().update(bind(_ROWS, lock.load(ms.get_context("device_target"), ms.__version__), resolve))

__all__ = [*_ROWS]
