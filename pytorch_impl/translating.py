"""Writing to sources with an encoder-decoder: the encoder computes once, the decoder one token at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from common.backend import EngineSettings

__all__ = ["Translator"]


class Translator:
    """Implements `common.backend.Translator`.

    Args:
        read: of the model, ``target_states``: what reads sources, and what reads one more token.
    """

    def __init__(self, model: nn.Module, read: tuple[Callable[..., Any], Callable[..., Any]], settings: EngineSettings):
        self._model = model
        self._remembered, self._continued = read
        self._device = next(model.parameters()).device
        self._bf16 = settings.dtype == "bf16"
        self._sources = np.zeros(0, np.int32)  # of each row, the source that it is written to
        self._kept: list[torch.Tensor] = []  # of the sources
        self._past: list[torch.Tensor] = []  # of the tokens so far
        self._place = 0

    @torch.no_grad()
    def read(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> None:
        """Read sources, forgetting what was held."""
        self._model.eval()
        with self._autocast():
            self._kept, self._past = self._remembered(self._tensor(input_ids), self._tensor(attention_mask))
        self._sources, self._place = np.arange(len(input_ids)), 0

    @torch.no_grad()
    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row."""
        with self._autocast():
            state, self._past = self._continued(self._tensor(tokens[:, None]), self._place, self._kept, self._past)
            self._place += 1
            return self._model.head(state).float().cpu().numpy()

    @torch.no_grad()
    def reorder(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was. What belongs to the sources stays where each row keeps its own."""
        rows = self._tensor(source)
        self._past = [tensor.index_select(0, rows) for tensor in self._past]
        if not np.array_equal(self._sources[source], self._sources):
            self._kept = [tensor.index_select(0, rows) for tensor in self._kept]
        self._sources = self._sources[source]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device).long()
