"""Runs on this machine, each in a process of its own."""

from __future__ import annotations

import os

from common.errors import InputError
from common.studies.attempt import Attempt
from common.studies.executors.executor import Executor, Pool
from common.studies.job import Job
from common.studies.outcome import Outcome

__all__ = ["MEMBER", "Local"]


class _LocalPool(Pool):
    def __init__(self, jobs: int):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = max(1, cores // jobs)
        self._attempts: dict[str, Attempt] = {}

    def submit(self, job: Job) -> None:
        self._attempts[job.key] = Attempt(job, self._threads)

    def poll(self) -> list[tuple[Job, Outcome]]:
        ended = []
        for key, attempt in list(self._attempts.items()):
            outcome = attempt.poll()
            if outcome is not None:
                del self._attempts[key]
                ended.append((attempt.job, outcome))
        return ended

    def running(self) -> list[Job]:
        return [attempt.job for attempt in self._attempts.values()]

    def stop(self, job: Job, status: str) -> None:
        self._attempts[job.key].stop(status)

    def kill(self) -> None:
        for attempt in self._attempts.values():
            attempt.kill()

    def close(self) -> None:
        self.kill()  # of a study that ended with an error


class Local(Executor):
    """The processes share the cores: each gets an equal part of them as threads, unless OMP_NUM_THREADS is set."""

    name = "local"

    def open(self, jobs: int, address: str | None) -> Pool:
        if address is not None:
            raise InputError(f"--address is that of a cluster; --executor local has none. Received {address}.")
        return _LocalPool(jobs)


MEMBER = Local()
