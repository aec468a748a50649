"""Gathering what an engine returns for each example of a split, over batches and processes."""

from __future__ import annotations

import numpy as np

from common.distributed import Group
from common.errors import RunError

__all__ = ["Rows", "Sums"]


class Rows:
    """One row of numbers for each example, ``(examples, width)`` float32, from batches in any order."""

    def __init__(self, examples: int):
        self._examples = examples
        self._rows: np.ndarray | None = None

    @property
    def values(self) -> np.ndarray:
        """The rows so far; RunError before the first batch, which says how wide they are."""
        if self._rows is None:
            raise RunError("Metrics need at least one batch in every process; this one received none.")
        return self._rows

    def update(self, indices: np.ndarray, output: np.ndarray) -> None:
        """Rows of one batch; ``output`` may have further rows."""
        if self._rows is None:
            self._rows = np.zeros((self._examples, *output.shape[1:]), np.float32)
        self._rows[indices] = output[: len(indices)]

    def reduce(self, group: Group) -> None:
        """Every process has rows of its own, so that sums put them together."""
        self._rows = group.sum_array(self.values)


class Sums:
    """Loss and number of targets."""

    def __init__(self) -> None:
        self.loss, self.count = 0.0, 0

    def update(self, loss: float, count: int) -> None:
        """Add one batch."""
        self.loss += loss
        self.count += count

    def reduce(self, group: Group) -> None:
        """Over the processes, to about 48 bits."""
        from common.distributed import sum_exactly

        loss, count = sum_exactly(group, np.array([self.loss, self.count], np.float64))
        self.loss, self.count = float(loss), round(count)
