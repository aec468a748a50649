"""The optimizers of `torch.optim` that the mapping has a row for; `mindspore_impl.optim` offers the same ones, which are called with the gradients."""

from __future__ import annotations

from common.api_mapping.binding import bind, names
from pytorch_impl.mapping import resolve

_ROWS = names("torch.optim", kinds=("optimizer",))
globals().update(bind(_ROWS, {row.name: {"target": row.name} for row in _ROWS.values()}, resolve))

__all__ = [*_ROWS]
