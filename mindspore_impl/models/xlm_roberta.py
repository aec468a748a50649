"""Mirrors pytorch_impl.models.xlm_roberta; differs: RoBERTa's native cells as they are."""

from __future__ import annotations

from mindspore_impl.models.roberta import (
    backbone,
    first_states,
    hidden_states,
    states,
    unsupported,  # noqa: F401  part of a backbone's module
)

__all__ = ["backbone", "first_states", "hidden_states", "states"]
