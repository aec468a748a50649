"""What a person sees while a study runs: a line for each run that begins or ends, with an estimate of the end."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from typing import Any

from common.studies.outcome import FINISHED, PRUNED, Outcome
from common.terminal import printable

__all__ = ["StudyProgress", "duration"]

_EVERY = 60.0  #: seconds between two lines while nothing begins or ends


def duration(seconds: float) -> str:
    """``seconds`` for people.

    >>> duration(4000)
    '1 h 07 min'
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class StudyProgress:
    """Counts runs and steps of the whole study.

    The estimate takes the seconds per planned step of the runs that have ended, those of earlier calls included, by
    backend; runs that stop early so make later ones look shorter, as they may be.

    Args:
        jobs: runs at the same time.
        stream: standard error unless given.
    """

    def __init__(self, jobs: int, stream: Any = None):
        self._jobs, self._stream = jobs, stream or sys.stderr
        self._all: dict[str, tuple[str, int]] = {}  # key to backend and planned steps
        self._ended: dict[str, float] = {}  # key to seconds
        self._begun: dict[str, float] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._said = time.monotonic()

    def expect(self, key: str, backend: str, steps: int) -> None:
        """A run belongs to the study."""
        self._all[key] = (backend, steps)

    def known(self, key: str, outcome: Outcome) -> None:
        """A run has ended; saying so twice counts once."""
        if key in self._ended:
            return
        self._ended[key] = outcome.seconds
        self._counts[outcome.status] += 1

    def begin(self, key: str, text: str) -> None:
        """A run begins."""
        self._begun[key] = time.monotonic()
        self.say(f"begins: {text}")

    def end(self, key: str, text: str, outcome: Outcome) -> None:
        """A run has ended."""
        self._begun.pop(key, None)
        if outcome.status != "interrupted":
            self.known(key, outcome)
        why = f": {outcome.error}" if outcome.error else ""
        self.say(f"{outcome.status} after {duration(outcome.seconds)}: {text}{why}")

    def tick(self) -> None:
        """Say where the study stands, now and then."""
        if self._begun and time.monotonic() - self._said > _EVERY:
            self.say(f"{len(self._begun)} running")

    def remaining(self) -> float | None:
        """Seconds until the end, as far as can be estimated; None before the first run has ended."""
        rates: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for key, seconds in self._ended.items():
            backend, steps = self._all[key]
            rates[backend][0] += seconds
            rates[backend][1] += steps
        every = [sum(one) for one in zip(*rates.values(), strict=True)] if rates else [0.0, 0.0]
        if not every[0] or not every[1]:
            return None
        left, now = 0.0, time.monotonic()
        for key, (backend, steps) in self._all.items():
            if key not in self._ended:
                seconds, done = rates.get(backend, every)
                taken = now - self._begun[key] if key in self._begun else 0.0
                left += max(0.0, steps * seconds / done - taken)
        return left / self._jobs

    def say(self, text: str) -> None:
        """A line that begins with where the study stands."""
        self._said = time.monotonic()
        left = self.remaining()
        end = f", about {duration(left)} left" if left and len(self._ended) < len(self._all) else ""
        good = self._counts[FINISHED] + self._counts[PRUNED]
        bad = len(self._ended) - good
        state = f"{len(self._ended)} of {len(self._all)}{f', {bad} failed' if bad else ''}{end}"
        print(f"[{state}] {printable(text)}", file=self._stream, flush=True)
