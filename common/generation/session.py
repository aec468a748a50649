"""The sequences that are being continued: a model reads them with a cache, or again as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from common.backend import IGNORE, Decoder, Engine
from common.errors import RunError

__all__ = ["Rows", "Session", "finite", "multiple"]

CAPACITY_MULTIPLE = 64  # of the columns of a cache, so that few shapes are compiled


class Rows(Protocol):
    """What the searches know of the sequences that they continue."""

    def history(self, row: int) -> np.ndarray:
        """The tokens of a row, int32."""

    def start(self) -> np.ndarray:
        """Logits ``(rows, vocabulary)`` float32 after what every row begins with; valid until the next call."""

    def take(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was; rows may become more or fewer."""

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row; returns what `start` does."""


class Session:
    """Rows of tokens, padded on the left so that all end in the same column.

    Args:
        prompts: token ids, none of them empty.
        limits: new tokens of each prompt.
        context: tokens that the model reads; of longer rows the last ones, which are computed anew for every token.
        length_multiple: prompts are padded to a multiple of it, so that compiled shapes stay few.
        cache: keep keys and values, where the model can.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        context: int,
        length_multiple: int,
        cache: bool = True,
    ):
        self._engine, self._context, self._multiple = engine, context, length_multiple
        self._lengths = np.array([len(prompt) for prompt in prompts])
        self._lasts = self._lengths + limits - 1  # tokens that are read of each row in the end
        longest, new_tokens = int(self._lengths.max()), max(limits)
        self._width = longest  # columns in use
        self._tokens = np.zeros((len(prompts), longest + new_tokens), np.int32)
        for row, prompt in enumerate(prompts):
            self._tokens[row, longest - len(prompt) : longest] = prompt
        self._decoder: Decoder | None = None
        if cache and longest <= context:
            read = longest + new_tokens - 1 if self._lasts.max() <= context else context
            self._decoder = engine.decoder(multiple(read + self._padded(longest) - longest, CAPACITY_MULTIPLE))

    def history(self, row: int) -> np.ndarray:
        """The tokens of a row, int32."""
        return self._tokens[row, self._width - self._lengths[row] : self._width]

    def start(self) -> np.ndarray:
        """Logits ``(rows, vocabulary)`` float32 after each prompt; they are valid until the next call."""
        if self._decoder is None:
            return self._recompute()
        padded = self._padded(self._width)
        input_ids = np.zeros((len(self._lengths), padded), np.int32)
        input_ids[:, padded - self._width :] = self._tokens[:, : self._width]
        return finite(self._decoder.prefill(input_ids, self._lengths.astype(np.int32)))

    def take(self, source: np.ndarray) -> None:
        """Row r goes on as row ``source[r]`` was; rows may become more or fewer."""
        if np.array_equal(source, np.arange(len(self._lengths))):
            return
        self._tokens, self._lengths, self._lasts = self._tokens[source], self._lengths[source], self._lasts[source]
        if self._decoder is not None:
            self._decoder.reorder(source.astype(np.int32))

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to every row; returns what `start` does."""
        self._tokens[:, self._width] = tokens
        self._width += 1
        self._lengths = self._lengths + 1
        if ((self._lengths > self._context) & (self._lengths <= self._lasts)).any():
            self._decoder = None  # positions begin anew with every token from here on
        if self._decoder is None:
            return self._recompute()
        return finite(self._decoder.step(tokens.astype(np.int32)))

    def _padded(self, length: int) -> int:
        return min(multiple(length, self._multiple), self._context)

    def _recompute(self) -> np.ndarray:
        """The whole sequences, or their last tokens, padded on the right as in training."""
        windows = [self.history(row)[-self._context :] for row in range(len(self._lengths))]
        lengths = np.array([len(window) for window in windows])
        input_ids = np.zeros((len(windows), self._padded(int(lengths.max()))), np.int32)
        for row, window in enumerate(windows):
            input_ids[row, : len(window)] = window
        mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int32)
        batch = {"input_ids": input_ids, "attention_mask": mask, "labels": np.full_like(input_ids, IGNORE)}
        return finite(self._engine.logits_at(batch, (lengths - 1).astype(np.int32)))


def multiple(length: int, of: int) -> int:
    """``length`` rounded up to a multiple of ``of``."""
    return -(-length // of) * of


def finite(logits: np.ndarray) -> np.ndarray:
    """The logits. Raises RunError where they are not."""
    if not np.isfinite(logits.sum(dtype=np.float64)):
        raise RunError(
            "The model's logits are not finite, so that no token can be chosen. Evaluate the run: it may have diverged."
        )
    return logits
