"""Mirrors pytorch_impl.optim; differs: MindSpore keeps no gradient in a parameter, so an optimizer is called with the
gradients by name: ``optimizer(gradients)``, where ``gradients`` come from ``ms.grad(..., return_ids=True)``.

Each name is MindSpore's own optimizer where that was verified on this device, or an adapter.
"""

from __future__ import annotations

from common.api_mapping.names import named
from mindspore_impl.mapping import bound

_ROWS = named("torch.optim", kinds=("optimizer",))
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
