"""An engine whose answer to a row does not depend on the batch that the row is in, to the last bit.

Batches always have the same number of rows (`common.data.batching.collate`), and with `Trained.apart` none is padded to
its neighbours, so that kernels see one shape for each padded shape of a row. Whether they then compute a row alike
wherever it stands is looked at and not assumed: quantised graphs scale activations by the largest value of the whole
batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from common.backend import Batch, Engine, EvalResult
from common.backend.batch import BatchSchema, Field
from common.terminal import notice

__all__ = ["Steady"]

Shape = tuple[tuple[int, ...], ...]  #: of the arrays of a batch


class Steady:
    """An engine that computes rows together where that changes no bit, and one by one where it does.

    The first batch of several rows of each padded shape is computed both ways. Everything but ``eval_step`` is the
    engine's own.

    Args:
        schema: of its batches.
        pad_id: of the tokenizer.
        name: of the artifact, for the note that says that its rows are computed one by one.
    """

    def __init__(self, engine: Engine, schema: BatchSchema, pad_id: int, name: str):
        self._engine, self._schema, self._pad_id, self._name = engine, schema, pad_id, name
        self._together: dict[Shape, bool] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def eval_step(self, batch: Batch) -> EvalResult:
        """Outputs of every row, as if it were alone in the batch."""
        filling = {field.name: self._filling(field, batch[field.name][0]) for field in self._schema.fields}
        rows = len(next(iter(batch.values())))
        real = [row for row in range(rows) if any((batch[name][row] != one).any() for name, one in filling.items())]
        shape = tuple(array.shape for array in batch.values())
        if len(real) < 2:
            return self._engine.eval_step(batch)
        if shape not in self._together:
            other = next((row for row in real[:0:-1] if _differ(batch, real[0], row)), None)
            if other is None:  # equal rows change nothing in one another, so that nothing is learned of others
                return self._each(batch, filling, real)
            return self._first(batch, filling, real, shape, other)
        return self._engine.eval_step(batch) if self._together[shape] else self._each(batch, filling, real)

    def _first(self, batch: Batch, filling: Batch, real: list[int], shape: Shape, other: int) -> EvalResult:
        """The result, having found out whether rows of this shape can be computed together. ``other`` is a row that
        differs from the first one."""
        together = self._engine.eval_step(batch)
        looked_at = (real[0], other)
        alone = [self._engine.eval_step(_alone(batch, filling, row)).outputs for row in looked_at]
        same = all(
            np.asarray(found[name][0]).tobytes() == np.asarray(together.outputs[name][row]).tobytes()
            for row, found in zip(looked_at, alone, strict=True)
            for name in found
        )
        self._together[shape] = same
        if same:
            return together
        notice(f"{self._name}: texts change one another's rounding in a batch, so that each is computed by itself.")
        return self._each(batch, filling, real)

    def _each(self, batch: Batch, filling: Batch, real: list[int]) -> EvalResult:
        found = {row: self._engine.eval_step(_alone(batch, filling, row)).outputs for row in real}
        outputs = {}
        for name, first in found[real[0]].items():
            unasked = np.asarray(first)[1:2]  # a text without tokens is a row of filling, and has its answer
            outputs[name] = np.repeat(unasked, len(first), 0)
            for row, one in found.items():
                outputs[name][row] = one[name][0]
        return EvalResult(float("nan"), 0, outputs)

    def _filling(self, field: Field, like: np.ndarray) -> np.ndarray:
        """A row without an example, as `common.data.batching.collate` makes it."""
        row = np.full_like(like, self._pad_id if field.padding == "pad_id" else field.padding)
        if field.first is not None:
            row.reshape(-1)[0] = field.first
        return row


def _differ(batch: Batch, first: int, second: int) -> bool:
    return any((array[first] != array[second]).any() for array in batch.values())


def _alone(batch: Batch, filling: Batch, row: int) -> dict[str, np.ndarray]:
    """The batch of one row and filling."""
    found = {}
    for name, array in batch.items():
        found[name] = np.repeat(filling[name][None], len(array), 0) if name in filling else array.copy()
        found[name][0] = array[row]
    return found
