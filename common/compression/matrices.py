"""What the transforms of matrices share: a module's weight with the outputs first, and how targets are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import InputError
from common.models.modules import ModuleSpec

__all__ = ["outputs_first", "refuse", "relative"]

_LISTED = 20


def outputs_first(module: ModuleSpec, weight: np.ndarray) -> np.ndarray:
    """The weight ``(out, in)`` in float64; of an embedding ``(width, rows)``."""
    exact = weight.astype(np.float64)
    return exact.T if module.kind.transposed or module.kind.lookup else exact


def relative(error: float, norm: float) -> float:
    """``error`` as a share of ``norm``; 0 of a weight of zeros."""
    return error / norm if norm else 0.0


def refuse(rule: str, problems: Sequence[str]) -> None:
    """Raise InputError that lists ``problems`` under the ``rule`` that they break; nothing without any."""
    if problems:
        more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        listed = "\n  ".join(problems[:_LISTED])
        raise InputError(f"{rule}; {len(problems)} {'does' if len(problems) == 1 else 'do'} not:\n  {listed}{more}")
