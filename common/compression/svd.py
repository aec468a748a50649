"""Truncated singular value decomposition: every weight becomes the product of two thin matrices, its best approximation
of that rank in the Frobenius norm (Eckart and Young 1936)."""

from __future__ import annotations

from common.compression.low_rank import LowRank

__all__ = ["MEMBER", "Svd"]


class Svd(LowRank):
    """All entries of a weight count alike."""

    name = "svd"


MEMBER = Svd()
