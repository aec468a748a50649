"""Relative positions of DeBERTa's attention: which row of its table stands for which distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Distances", "buckets", "largest_distance", "normed", "pos_att_types", "span_of"]

KINDS = ("c2p", "p2c")  #: content to position, position to content


def pos_att_types(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The entry ``pos_att_type``, a list or a text such as ``"c2p|p2c"``; empty where there is none.

    Raises:
        ValueError: another kind, or one kind twice.
    """
    entry = config.get("pos_att_type") or []
    listed = [kind.strip() for kind in entry.lower().split("|")] if isinstance(entry, str) else entry
    found = tuple(kind for kind in KINDS if isinstance(listed, list | tuple) and kind in listed)
    if not isinstance(listed, list | tuple) or len(found) != len(listed):
        raise ValueError(f"pos_att_type must list each of {', '.join(KINDS)} at most once; received {entry!r}")
    return found


def largest_distance(config: Mapping[str, Any]) -> int:
    """``max_relative_positions``, or the number of positions where that is not given."""
    largest = config.get("max_relative_positions", -1)
    return largest if largest >= 1 else config["max_position_embeddings"]


def normed(config: Mapping[str, Any]) -> bool:
    """Whether the table goes through a norm before it is projected."""
    return "layer_norm" in [part.strip() for part in config.get("norm_rel_ebd", "none").lower().split("|")]


def span_of(config: Mapping[str, Any]) -> int:
    """Rows of the table of relative positions on either side of the middle: with buckets their number."""
    number = config.get("position_buckets", -1)
    return number if number > 0 else largest_distance(config)


def buckets(distances: np.ndarray, number: int, largest: int) -> np.ndarray:
    """Buckets of relative positions (He et al. 2021a): distances up to ``number // 2`` are their own, those beyond share
    buckets whose width grows with their logarithm. In float32, as ``transformers`` computes them.

    Args:
        distances: int, any shape.
        largest: the distance that gets the last bucket.

    Example:
        >>> buckets(np.array([3, -3, 200, 511]), 256, 512).tolist()
        [3, -3, 169, 255]
    """
    middle = number // 2
    size = np.abs(distances)
    near = size <= middle
    ratio = np.where(near, 1, size).astype(np.float32) / np.float32(middle)
    whole = np.log(np.float32((largest - 1) / middle))
    far = np.ceil(np.log(ratio) / whole * np.float32(middle - 1)) + middle
    return np.where(near, distances, far * np.sign(distances)).astype(np.int64)


@dataclass(frozen=True)
class Distances:
    """How a table of relative positions is read.

    ``cut`` networks read the middle rows alone, as many as a sequence has distances, as the first DeBERTa does.
    """

    span: int  #: rows on either side of the middle
    number: int  #: of buckets; none where it is not above 0
    largest: int
    cut: bool

    @classmethod
    def of(cls, config: Mapping[str, Any], cut: bool) -> Distances:
        """Those of a configuration."""
        return cls(span_of(config), config.get("position_buckets", -1), largest_distance(config), cut)

    def read(self, length: int) -> int:
        """Rows on either side of the middle that a network reads for a sequence."""
        return min(length, self.span) if self.cut else self.span

    def rows(self, length: int) -> np.ndarray:
        """Of what is read the row for each of the distances ``-length, ..., length - 1``, int32 ``(2 * length,)``.

        Example:
            >>> Distances(4, -1, 4, False).rows(6).tolist()
            [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 7]
        """
        distances, read = np.arange(-length, length), self.read(length)
        if self.number > 0:
            distances = buckets(distances, self.number, self.largest)
        return np.clip(distances + read, 0, 2 * read - 1).astype(np.int32)
