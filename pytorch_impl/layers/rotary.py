"""Rotary positions (Su et al. 2021): pairs of a head's scalars are turned by an angle that grows with the position."""

from __future__ import annotations

import torch

__all__ = ["turned"]


def turned(x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """x cos + swapped(x) sin, where scalar i of a head and scalar i + width / 2 are a pair.

    Args:
        x: queries or keys, ``(..., width)``.
        cosines, sines: of `common.models.rotary.tables`, of a shape that fits.
    """
    first, second = x.chunk(2, -1)
    return x * cosines + torch.cat([-second, first], -1) * sines
