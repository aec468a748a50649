"""Runs the jobs of all sources on a pool until none is left, or somebody ends the study."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common.studies.executors.executor import Pool
from common.studies.job import Job
from common.studies.outcome import INTERRUPTED, Outcome
from common.studies.progress import StudyProgress
from common.studies.sources import Source

__all__ = ["run_all"]

_POLL = 0.1  #: seconds
_AGAIN = 2  #: times that a run is started again in one call where somebody else ended its process


class _Stop:
    """Counts the signals that came."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, number: int, frame: object) -> None:
        self.asked += 1


@contextlib.contextmanager
def _signals() -> Iterator[_Stop]:
    """While entered, SIGINT, SIGTERM and SIGHUP are counted."""
    stop = _Stop()
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _heard(number)]
    previous = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _heard(number: int) -> bool:
    """Not under nohup, or where a shell put this in the background."""
    return signal.getsignal(number) != signal.SIG_IGN


def run_all(
    sources: Sequence[Source],
    pool: Pool,
    jobs: int,
    cancel: Path,
    progress: StudyProgress,
    describe: Callable[[Job], tuple[str, str]],
) -> bool:
    """Run everything; return whether it came to its end.

    A signal, or the file ``cancel``, asks every run to save its state and end; a second signal kills them.

    Args:
        describe: the key of a job in ``progress``, and the job for people.
    """
    owners: dict[str, Source] = {}
    restarts: dict[str, int] = {}
    with _signals() as stop:
        while True:
            stopping = bool(stop.asked) or cancel.exists()
            if stop.asked > 1:
                for job in pool.running():
                    pool.stop(job, INTERRUPTED)  # both signals may have come since the last look
                pool.kill()
            for job, outcome in pool.poll():
                progress.end(*describe(job), outcome)
                if _lost(outcome, stopping, restarts, job):
                    pool.submit(job)
                    progress.begin(*describe(job))
                else:
                    owners.pop(job.key).ended(job, outcome)
            for job in pool.running():
                reason = INTERRUPTED if stopping else owners[job.key].watch(job)
                if reason is not None:
                    pool.stop(job, reason)
            while not stopping and len(pool.running()) < jobs and (found := _next(sources)) is not None:
                source, job = found
                owners[job.key] = source
                progress.begin(*describe(job))
                pool.submit(job)
            if not pool.running():
                break
            progress.tick()
            time.sleep(_POLL)
        for source in sources:
            source.finish()
        return not stopping


def _next(sources: Sequence[Source]) -> tuple[Source, Job] | None:
    for source in sources:
        job = source.next()
        if job is not None:
            return source, job
    return None


def _lost(outcome: Outcome, stopping: bool, restarts: dict[str, int], job: Job) -> bool:
    """Whether a run is continued at once: its process was ended by somebody else, such as a machine that went."""
    if outcome.status != INTERRUPTED or stopping:
        return False
    restarts[job.key] = restarts.get(job.key, 0) + 1
    return restarts[job.key] <= _AGAIN
