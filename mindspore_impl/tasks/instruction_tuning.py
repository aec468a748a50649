"""Mirrors pytorch_impl.tasks.instruction_tuning."""

from __future__ import annotations

from mindspore_impl.tasks.language_modeling import loss

__all__ = ["loss"]
