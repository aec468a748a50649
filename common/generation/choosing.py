"""The next token of every row: the most probable one, or a sample that (seed, prompt, sample, step) alone decide."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from common.errors import RunError
from common.generation.filters import Filter, filters, penalise, repeated, surviving
from common.generation.options import GenerationOptions
from common.generation.session import Rows
from common.random import gumbel

__all__ = ["RULED_OUT", "Chooser", "prompt_key", "restrict", "top"]

RULED_OUT = "Every token of the vocabulary is ruled out by no_repeat_ngram_size or min_new_tokens. Lower them."


def prompt_key(prompt: Sequence[int]) -> str:
    """What stands for a prompt in the name of random numbers: equal tokens, wherever they stand, get equal ones."""
    return hashlib.sha256(np.asarray(prompt, "<i8").tobytes()).hexdigest()[:32]


def restrict(
    scores: np.ndarray, session: Rows, options: GenerationOptions, ends: Sequence[int], new_tokens: int
) -> np.ndarray:
    """The scores ``(rows, vocabulary)`` under penalty, n-gram ban and shortest length; a copy where any is on.

    Args:
        new_tokens: that every row has got so far.
    """
    early = new_tokens < options.min_new_tokens
    if options.repetition_penalty == 1 and not options.no_repeat_ngram_size and not early:
        return scores
    scores = scores.copy()
    for row in range(len(scores)):
        history = session.history(row)
        if options.repetition_penalty != 1:
            penalise(scores[row], history, options.repetition_penalty)
        if options.no_repeat_ngram_size:
            scores[row, repeated(history, options.no_repeat_ngram_size)] = -np.inf
    if early:
        scores[:, list(ends)] = -np.inf
    return scores


class Chooser:
    """Chooses one token a row.

    Args:
        keys: `prompt_key` and number of the sample of each row.
    """

    def __init__(self, options: GenerationOptions, keys: Sequence[tuple[str, int]]):
        self._options, self._keys = options, keys
        self._filters: Sequence[Filter] = filters(options)

    def __call__(self, scores: np.ndarray, step: int, active: Sequence[int]) -> np.ndarray:
        """Tokens ``(rows,)`` from scores ``(rows, vocabulary)``; of rows that are not ``active`` any.

        Raises:
            RunError: no token is allowed.
        """
        best = scores.argmax(1)
        if any(scores[row, best[row]] == -np.inf for row in active):
            raise RunError(RULED_OUT)
        if self._options.sampling:
            for row in active:
                best[row] = self._sample(scores[row], row, step)
        return best

    def _sample(self, scores: np.ndarray, row: int, step: int) -> int:
        """Adding Gumbel noise before the argmax samples from the softmax (Gumbel 1954), and hardly ever depends on the
        last bits of the scores."""
        tokens, left = surviving(scores, self._options.temperature, self._filters)
        key, number = self._keys[row]
        noise = gumbel(self._options.seed, f"generate.{key}.{number}.{step}", len(scores), tokens)
        return int(tokens[(left + noise).argmax()])


def top(scores: np.ndarray, count: int, block: int = 64) -> np.ndarray:
    """Indices of the ``count`` largest of ``(n,)``, descending; of equal ones the first.

    All of them are at least as large as the ``count``-th largest maximum of a block, so that few are sorted.
    """
    whole = len(scores) // block * block
    if whole < count * block:
        candidates = np.arange(len(scores))
    else:
        largest = scores[:whole].reshape(-1, block).max(1)
        least = np.partition(largest, -count)[-count]
        candidates = np.flatnonzero(scores >= least)
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:count]]
