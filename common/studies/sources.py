"""Where the jobs of a study come from: the contract, and the grid, all of whose points are known from the start."""

from __future__ import annotations

from collections.abc import Sequence

from common.studies.job import Job
from common.studies.outcome import Outcome

__all__ = ["Grid", "Source"]


class Source:
    """Hands out jobs, and takes in what became of them."""

    def next(self) -> Job | None:
        """A job that may start now; None where there is none at the moment."""
        raise NotImplementedError

    def watch(self, job: Job) -> str | None:
        """The status that a running job shall be ended with, if it shall."""
        return None

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Take in that ``job`` has ended."""

    def finish(self) -> None:
        """Everything has ended: write what results."""


class Grid(Source):
    """``jobs`` in their order; two that are one run are run once."""

    def __init__(self, jobs: Sequence[Job]):
        self._waiting = list(dict.fromkeys(jobs))

    def next(self) -> Job | None:
        return self._waiting.pop(0) if self._waiting else None
