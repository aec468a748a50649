"""Mirrors pytorch_impl.tasks.sequence_to_sequence."""

from __future__ import annotations

from mindspore_impl.tasks.data_to_text import loss

__all__ = ["loss"]
