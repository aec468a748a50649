"""The modules of `torch.nn` that the mapping has a row for; `mindspore_impl.nn` offers the same ones, with the same parameters."""

from __future__ import annotations

from common.api_mapping.binding import bind, names
from pytorch_impl.mapping import resolve

_ROWS = names("torch.nn", kinds=("module",))
globals().update(bind(_ROWS, {row.name: {"target": row.name} for row in _ROWS.values()}, resolve))

__all__ = [*_ROWS]
