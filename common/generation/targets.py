"""The sequences that an encoder-decoder writes to sources: with what it keeps of both, or again as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.backend import IGNORE, Engine
from common.generation.session import finite, multiple

__all__ = ["TargetSession"]


class TargetSession:
    """Rows of tokens that begin with the same one; they are `common.generation.session.Rows`.

    Args:
        sources: token ids, none of them empty.
        new_tokens: that a row gets at most.
        opening: the token that every row begins with.
        context: tokens of a source, and of what is written, at most.
        length_multiple: sources, and rows that are read again, are padded to a multiple of it.
        cache: keep what was computed, where the model can.
    """

    def __init__(
        self,
        engine: Engine,
        sources: Sequence[Sequence[int]],
        new_tokens: int,
        opening: int,
        context: int,
        length_multiple: int,
        cache: bool = True,
    ):
        self._engine, self._context, self._multiple = engine, context, length_multiple
        width = self._padded(max(map(len, sources)))
        self._sources = np.zeros((len(sources), width), np.int32)
        self._mask = np.zeros_like(self._sources)
        for row, source in enumerate(sources):
            self._sources[row, : len(source)] = source
            self._mask[row, : len(source)] = 1
        self._tokens = np.full((len(sources), 1 + new_tokens), opening, np.int32)
        self._width = 1  # columns in use
        self._translator = engine.translator() if cache else None

    def history(self, row: int) -> np.ndarray:
        """The tokens of a row, int32."""
        return self._tokens[row, : self._width]

    def start(self) -> np.ndarray:
        """Logits ``(rows, vocabulary)`` float32 after the first token; they are valid until the next call."""
        if self._translator is None:
            return self._recompute()
        self._translator.read(self._sources, self._mask)
        return finite(self._translator.step(self._tokens[:, 0]))

    def take(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was; rows may become more or fewer."""
        if np.array_equal(source, np.arange(len(self._tokens))):
            return
        self._tokens, self._sources, self._mask = self._tokens[source], self._sources[source], self._mask[source]
        if self._translator is not None:
            self._translator.reorder(source.astype(np.int32))

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row; returns what `start` does."""
        self._tokens[:, self._width] = tokens
        self._width += 1
        if self._translator is None:
            return self._recompute()
        return finite(self._translator.step(tokens.astype(np.int32)))

    def _padded(self, length: int) -> int:
        return min(multiple(length, self._multiple), self._context)

    def _recompute(self) -> np.ndarray:
        """Everything again, padded on the right as in training."""
        rows = np.zeros((len(self._tokens), self._padded(self._width)), np.int32)
        rows[:, : self._width] = self._tokens[:, : self._width]
        batch = {"input_ids": self._sources, "attention_mask": self._mask, "decoder_input_ids": rows}
        batch["labels"] = np.full_like(rows, IGNORE)
        positions = np.full(len(rows), self._width - 1, np.int32)
        return finite(self._engine.logits_at(batch, positions))
