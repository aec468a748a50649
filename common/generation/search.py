"""One token after the other: greedy search and sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.generation.choosing import Chooser, prompt_key, restrict
from common.generation.options import GenerationOptions
from common.generation.session import Rows
from common.generation.stopping import LENGTH, Stopping

__all__ = ["Continuation", "Listener", "search"]

Listener = Callable[[int, int, int], None]  #: is called with row, sample and token as soon as a token is chosen


@dataclass
class Continuation:
    """The new tokens of one sequence."""

    tokens: list[int] = field(default_factory=list)  #: with the end-of-text token
    finish: str = LENGTH  #: see `common.generation.stopping`
    score: float | None = None  #: of a beam


def search(
    session: Rows,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    options: GenerationOptions,
    stopping: Stopping,
    listen: Listener | None = None,
) -> list[list[Continuation]]:
    """Continue every prompt ``num_return_sequences`` times.

    Args:
        limits: new tokens of each prompt.
    """
    count = options.num_return_sequences
    rows = np.repeat(np.arange(len(prompts)), count)
    keys = [(prompt_key(prompts[prompt]), number) for prompt in range(len(prompts)) for number in range(count)]
    chooser = Chooser(options, keys)
    logits = session.start()[rows]
    session.take(rows)
    found = [Continuation() for _ in rows]
    active = list(range(len(rows)))
    for step in range(max(limits)):
        scores = restrict(logits, session, options, sorted(stopping.ends), step)
        chosen = chooser(scores, step, active)
        for row in active:
            found[row].tokens.append(int(chosen[row]))
            if listen is not None:
                listen(int(rows[row]), row % count, int(chosen[row]))
        active = [row for row in active if not _ended(found[row], stopping, limits[rows[row]])]
        if not active:
            break
        logits = session.advance(chosen)
    return [found[start : start + count] for start in range(0, len(rows), count)]


def _ended(continuation: Continuation, stopping: Stopping, limit: int) -> bool:
    reason = stopping.reason(continuation.tokens)
    if reason is not None:
        continuation.finish = reason
    return reason is not None or len(continuation.tokens) == limit
