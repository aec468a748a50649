"""Mirrors pytorch_impl.translating; differs: nothing is compiled, since what is kept grows with every token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from common.backend import EngineSettings

__all__ = ["Translator"]


class Translator:
    """Implements `common.backend.Translator`."""

    def __init__(self, model: nn.Cell, read: tuple[Callable[..., Any], Callable[..., Any]], settings: EngineSettings):
        self._model = model
        self._remembered, self._continued = read
        self._sources = np.zeros(0, np.int32)  # of each row, the source that it is written to
        self._kept: list[Tensor] = []  # of the sources
        self._past: list[Tensor] = []  # of the tokens so far
        self._place = 0

    def read(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> None:
        """Read sources, forgetting what was held."""
        self._model.set_train(False)
        self._kept, self._past = self._remembered(_tensor(input_ids), _tensor(attention_mask))
        self._sources, self._place = np.arange(len(input_ids)), 0

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row."""
        state, self._past = self._continued(_tensor(tokens[:, None]), self._place, self._kept, self._past)
        self._place += 1
        return self._model.head(state).asnumpy()

    def reorder(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was. What belongs to the sources stays where each row keeps its own."""
        rows = _tensor(source)
        self._past = [ops.gather(tensor, rows, 0) for tensor in self._past]
        if not np.array_equal(self._sources[source], self._sources):
            self._kept = [ops.gather(tensor, rows, 0) for tensor in self._kept]
        self._sources = self._sources[source]


def _tensor(array: np.ndarray) -> Tensor:
    return Tensor(np.ascontiguousarray(array, np.int32))
