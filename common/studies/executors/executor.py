"""The contract of an executor: jobs go in, outcomes come out; nothing blocks."""

from __future__ import annotations

from typing import ClassVar

from common.studies.job import Job
from common.studies.outcome import Outcome

__all__ = ["Executor", "Pool"]


class Pool:
    """Running jobs of one study."""

    def submit(self, job: Job) -> None:
        """Start ``job``, or queue it where the machines are busy."""
        raise NotImplementedError

    def poll(self) -> list[tuple[Job, Outcome]]:
        """Every job that has ended since the last call; its outcome is stored."""
        raise NotImplementedError

    def running(self) -> list[Job]:
        """Jobs that have not ended."""
        raise NotImplementedError

    def stop(self, job: Job, status: str) -> None:
        """Ask ``job`` to save its state and end; ``status`` is that of its outcome then."""
        raise NotImplementedError

    def kill(self) -> None:
        """End everything at once."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what was taken, and end what still runs."""
        raise NotImplementedError


class Executor:
    """A member: one way to run jobs."""

    name: ClassVar[str]

    def open(self, jobs: int, address: str | None) -> Pool:
        """A pool of ``jobs`` places.

        Args:
            address: of a cluster that is there; None: this machine.

        Raises:
            InputError: what the executor needs is not installed, or ``address`` is not one of its own.
        """
        raise NotImplementedError
