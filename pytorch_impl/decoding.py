"""Decoding with a cache: the keys and values of every layer, of all rows, in one tensor that is written column by
column."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from common.backend import EngineSettings
from common.compilation import Compilations
from common.methods.prepending import before, located

__all__ = ["Decoder"]

_NEGATIVE = -1e30  # exp of it is 0 after the softmax's maximum is taken off; rows of nothing else stay finite


class Decoder:
    """Implements `common.backend.Decoder`.

    Args:
        read: of the model, ``cached_states``; its ``window`` is how many positions a token attends to, None for all.
        capacity: columns.
        compilations: counts graphs, of which there are none here.
        kept: what decoders of the same engine share.
    """

    def __init__(
        self,
        model: nn.Module,
        read: Any,
        settings: EngineSettings,
        capacity: int,
        compilations: Compilations,
        kept: dict[Any, Any] | None,
    ):
        self._model, self._read, self._virtual = model, read, model.virtual_ids()
        with torch.no_grad():
            self._past = model.past_states()
        self._before = 0 if self._past is None else self._past.shape[2]  # columns that hold no tokens
        self._capacity = capacity + len(self._virtual) + self._before
        self._head = model.cached_head(kept)
        self._device = next(model.parameters()).device
        self._bf16 = settings.dtype == "bf16"
        self._used = 0  # columns that are written
        self._columns = 0  # of them the prompts'
        self._cache: torch.Tensor | None = None

    @torch.no_grad()
    def prefill(self, input_ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Read prompts, forgetting what was held."""
        self._model.eval()
        input_ids, lengths = before(input_ids, lengths, self._virtual)
        rows, columns = input_ids.shape
        self._used, self._columns = self._before, self._before + columns
        self._prompts, self._cache = np.arange(rows), None
        padded, places = columns - lengths[:, None], np.arange(self._capacity) - self._before
        self._lengths = np.array(lengths, np.int64) + self._before
        padding = (places >= 0) & (places < padded)
        mask = np.where(padding, np.float32(_NEGATIVE), np.float32(0))[:, None, None]  # (rows, 1, 1, capacity)
        self._mask = self._tensor(mask) if padding.any() else None
        causal = np.triu(np.full((columns, self._columns), _NEGATIVE, np.float32), 1 + self._before)
        self._places = located(padded, self._before, self._capacity)
        if self._read.window is not None:
            far = (
                self._places[:, None, : self._columns]
                <= self._places[:, self._before : self._columns, None] - self._read.window
            )
            causal = np.where(far[:, None], np.float32(_NEGATIVE), causal)
        causal = np.minimum(causal, mask[..., : self._columns])  # (rows, 1, columns, columns so far)
        positions = np.maximum(np.arange(columns) - padded, 0) + self._before
        return self._logits(input_ids, positions, self._tensor(causal))

    @torch.no_grad()
    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row."""
        mask = None if self._mask is None else self._mask[..., : self._used + 1]
        if self._read.window is not None:
            mask = self._within(mask)
        positions = np.minimum(self._lengths, self._read.positions - 1)[:, None]
        self._lengths += 1
        return self._logits(tokens[:, None], positions, mask)

    @torch.no_grad()
    def reorder(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was. What rows of one prompt share stays where it is."""
        used, old = slice(self._used), self._cache
        assert old is not None  # there are rows only after ``prefill``
        if np.array_equal(self._prompts, self._prompts[source]):
            changed = np.flatnonzero(source != np.arange(len(source)))
            to, of = self._tensor(changed), self._tensor(source[changed])
            new = slice(self._columns, self._used)
            old[:, :, to, :, new] = old[:, :, of, :, new]
        else:
            layers, pair, _, *rest = old.shape
            self._cache = old.new_empty(layers, pair, len(source), *rest)
            torch.index_select(old[:, :, :, :, used], 2, self._tensor(source), out=self._cache[:, :, :, :, used])
        if self._mask is not None:
            self._mask = self._mask[self._tensor(source)]
        self._lengths, self._prompts = self._lengths[source], self._prompts[source]
        self._places = self._places[source]

    def _within(self, mask: torch.Tensor | None) -> torch.Tensor | None:
        """``mask`` with the columns hidden that are too far before the one that is read next."""
        far = self._places[:, : self._used + 1] <= (self._lengths - self._read.window)[:, None]
        if not far.any():
            return mask
        found = self._tensor(np.where(far, np.float32(_NEGATIVE), np.float32(0))[:, None, None])
        return found if mask is None else torch.minimum(found, mask)

    def _logits(self, input_ids: np.ndarray, positions: np.ndarray, mask: torch.Tensor | None) -> np.ndarray:
        """Read ``(rows, columns)`` tokens; logits after the last column."""
        self._used += input_ids.shape[1]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            hidden = self._read(self._tensor(input_ids), self._tensor(positions), mask, self._write)
            return self._head(hidden).float().cpu().numpy()

    def _write(self, layer: int, pairs: torch.Tensor) -> torch.Tensor:
        """Take in keys and values ``(2, rows, heads, new, width)`` of the columns that are being read.

        Returns:
            Those of all columns so far, ``(2, rows, heads, used, width)``, a view.
        """
        if self._cache is None:
            pair, rows, heads, _, width = pairs.shape
            self._cache = pairs.new_empty(self._read.layers, pair, rows, heads, self._capacity, width)
            if self._past is not None:
                self._cache[..., : self._before, :] = self._past.reshape(-1, pair, 1, heads, self._before, width)
        held = self._cache[layer]
        held[:, :, :, self._used - pairs.shape[3] : self._used] = pairs
        return held[:, :, :, : self._used]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
        return tensor if tensor.is_floating_point() else tensor.long()
