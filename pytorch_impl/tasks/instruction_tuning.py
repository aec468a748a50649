"""Cross-entropy of the answers of conversations: language modelling, whose labels leave the rest out."""

from __future__ import annotations

from pytorch_impl.tasks.language_modeling import loss

__all__ = ["loss"]
