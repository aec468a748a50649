"""Mirrors pytorch_impl.exchange; differs: says that PEFT exists for PyTorch only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.backend import Batch
from common.errors import InputError

__all__ = ["peft_logits"]


def peft_logits(
    base_model: str, adapter: Path, batch: Batch, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Refused."""
    raise InputError(
        f"PEFT computes in PyTorch only, so it cannot read {adapter} for the MindSpore half. Use the PyTorch half."
    )
