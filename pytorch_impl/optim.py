"""The optimizers of `torch.optim` that the mapping has a row for; `mindspore_impl.optim` offers the same ones, which
are called with the gradients."""

from __future__ import annotations

from common.api_mapping.names import named
from pytorch_impl.mapping import bound

_ROWS = named("torch.optim", kinds=("optimizer",))
globals().update(bound(_ROWS))

__all__ = [*_ROWS]
