"""Beam search, with the conditions of ``transformers`` for when to stop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import RunError
from common.generation.choosing import RULED_OUT, prompt_key, restrict, top
from common.generation.filters import Filter, filters, log_softmax, surviving
from common.generation.options import GenerationOptions
from common.generation.search import Continuation
from common.generation.session import Rows
from common.generation.stopping import LENGTH, Stopping
from common.random import gumbel

__all__ = ["beam_search"]

_NEVER = -1e9  # score of what must not be chosen
_LEAST = _NEVER / 2  # that of a sequence that began with it is lower; no sum of log-probabilities is


def beam_search(
    session: Rows,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    options: GenerationOptions,
    stopping: Stopping,
) -> list[list[Continuation]]:
    """The ``num_return_sequences`` best continuations of every prompt, the best first.

    Args:
        limits: new tokens of each prompt.

    Raises:
        RunError: no token is allowed, or a prompt has fewer continuations than are asked for.
    """
    beams = options.num_beams
    found = [
        _Beams(prompt_key(prompt), limit, options, stopping) for prompt, limit in zip(prompts, limits, strict=True)
    ]
    rows = np.repeat(np.arange(len(prompts)), beams)
    logits = session.start()[rows]
    session.take(rows)
    ends = sorted(stopping.ends)
    for step in range(max(limits)):
        scores = restrict(log_softmax(logits), session, options, ends, step)
        chosen, source = np.zeros(len(rows), np.int64), np.arange(len(rows))
        for number, each in enumerate(found):
            if not each.done:
                part = slice(number * beams, (number + 1) * beams)
                chosen[part], source[part] = each.step(scores[part])
                source[part] += number * beams
        if all(each.done for each in found):
            break
        session.take(source)
        logits = session.advance(chosen)
    return [_best(each.finished, options.num_return_sequences) for each in found]


def _best(finished: list[Continuation], count: int) -> list[Continuation]:
    if not finished:
        raise RunError(RULED_OUT)
    if len(finished) < count:
        raise RunError(
            f"With these options a prompt has {len(finished)} continuations, of which {count} are asked for. Lower "
            "num_return_sequences, or raise max_new_tokens or what sampling leaves of the tokens."
        )
    return finished[:count]


class _Beams:
    """The beams of one prompt: those that go on, and the best that have ended."""

    def __init__(self, key: str, limit: int, options: GenerationOptions, stopping: Stopping):
        self._key, self._limit, self._options, self._stopping = key, limit, options, stopping
        self._scores = np.full(options.num_beams, _NEVER)  # of the sequences that go on
        self._scores[0] = 0.0  # they are equal at first: only one of them counts
        self._tokens: list[list[int]] = [[] for _ in range(options.num_beams)]
        least = len(stopping.ends) + 1 if stopping.ends else 2
        self._candidates = max(2, least) * options.num_beams  # enough to go on where some of them end
        self._filters: Sequence[Filter] = filters(options, least)
        self.finished: list[Continuation] = []  #: at most one for each beam, the best first
        self.done = False

    def step(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Extend the beams by one token.

        Args:
            scores: log-probabilities of the next token, ``(beams, vocabulary)``.

        Returns:
            The token of each beam that goes on, and the beam that it continues.
        """
        count, vocabulary = scores.shape
        candidates, sums = self._select(scores)
        source, chosen = candidates // vocabulary, candidates % vocabulary
        extended = [[*self._tokens[beam], int(token)] for beam, token in zip(source, chosen, strict=True)]
        length = len(extended[0])
        reasons = [self._stopping.reason(tokens) or (LENGTH if length == self._limit else None) for tokens in extended]
        self._finish(extended[:count], sums[:count], reasons[:count])
        running = sums + np.array([_NEVER if reason else 0.0 for reason in reasons])
        kept = np.argsort(-running, kind="stable")[:count]
        self._tokens, self._scores = [extended[place] for place in kept], running[kept]
        self.done = self._ended(length, all(reasons))
        return chosen[kept], source[kept]

    def _select(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Candidates as beam * vocabulary + token, and the sums of their log-probabilities, the best first; of samples,
        in the order in which they were drawn."""
        if not self._options.sampling:
            rounded = scores + self._scores[:, None].astype(scores.dtype)
            places = top(rounded.reshape(-1), 2 * self._candidates)
            sums = scores.reshape(-1)[places] + self._scores[places // scores.shape[1]]
            best = np.argsort(-sums, kind="stable")[: self._candidates]
            return places[best], sums[best]
        parts = [surviving(row, self._options.temperature, self._filters) for row in scores]
        vocabulary = scores.shape[1]
        places = np.concatenate([tokens + beam * vocabulary for beam, (tokens, _) in enumerate(parts)])
        sums = np.concatenate([left + self._scores[beam] for beam, (_, left) in enumerate(parts)])
        name = f"generate.{self._key}.beams.{len(self._tokens[0])}"
        drawn = top(sums + gumbel(self._options.seed, name, scores.size, places), self._candidates)
        return places[drawn], sums[drawn]

    def _finish(self, sequences: Sequence[list[int]], sums: np.ndarray, reasons: Sequence[str | None]) -> None:
        """Take in those of the best candidates that have ended; not what fills the beams where few tokens have a
        chance."""
        for tokens, total, reason in zip(sequences, sums, reasons, strict=True):
            if reason and total > _LEAST:
                score = float(total) / len(tokens) ** self._options.length_penalty
                self.finished.append(Continuation(tokens, reason, score))
        self.finished.sort(key=lambda found: -(found.score or 0.0))
        del self.finished[self._options.num_beams :]

    def _ended(self, length: int, none_goes_on: bool) -> bool:
        """Whether nothing better is expected."""
        if none_goes_on or self._scores[0] <= _LEAST:
            return True
        if len(self.finished) < self._options.num_beams:
            return False
        if self._options.early_stopping is True:
            return True
        penalty = self._options.length_penalty
        longest = self._limit if self._options.early_stopping == "never" and penalty > 0 else length
        return float(self._scores[0]) / longest**penalty <= (self.finished[-1].score or 0.0)
