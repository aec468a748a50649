"""Cross-entropy of the tokens that are written to a source, with smoothed labels where there are any."""

from __future__ import annotations

from pytorch_impl.tasks.data_to_text import loss

__all__ = ["loss"]
