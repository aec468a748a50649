"""The functions of `torch.special` that the mapping has a row for; `mindspore_impl.special` offers the same ones."""

from __future__ import annotations

from common.api_mapping.binding import bind, names
from pytorch_impl.mapping import resolve

_ROWS = names("torch.special")
globals().update(bind(_ROWS, {row.name: {"target": row.name} for row in _ROWS.values()}, resolve))

__all__ = [*_ROWS]
