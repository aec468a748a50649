"""Which of two values of a metric is better."""

from __future__ import annotations

import math

__all__ = ["better"]


def better(new: float, old: float | None, higher: bool) -> bool:
    """Whether ``new`` is strictly better than ``old``; NaN never is, and anything else is better than NaN or None."""
    if math.isnan(new):
        return False
    if old is None or math.isnan(old):
        return True
    return new > old if higher else new < old
