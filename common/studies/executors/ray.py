"""Runs on a Ray cluster, one task for each; without an address on a cluster of this machine alone."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import time
from typing import Any

from common.errors import InputError
from common.files import write_atomic
from common.resources import code_folder
from common.studies import outcome as outcomes
from common.studies.attempt import Attempt
from common.studies.executors.executor import Executor, Pool
from common.studies.job import Job
from common.studies.outcome import Outcome, read_outcome, write_outcome

__all__ = ["MEMBER", "RayExecutor", "attempt"]

_POLL = 0.2  #: seconds between two looks of a task at its process


def attempt(job: Job) -> Outcome:
    """Run ``job`` to its end, in a task; it is asked to end by its file ``stop``."""
    running = Attempt(job)
    try:
        while True:
            outcome = running.poll()
            if outcome is not None:
                return outcome
            with contextlib.suppress(FileNotFoundError):
                running.stop(job.stop.read_text(encoding="utf-8"))
            time.sleep(_POLL)
    except BaseException:  # the task is cancelled
        running.kill()
        raise


class _RayPool(Pool):
    def __init__(self, ray: Any, jobs: int, address: str | None):
        self._ray = ray
        path = os.pathsep.join(filter(None, (str(code_folder()), os.environ.get("PYTHONPATH"))))
        variables = {"PYTHONPATH": path} | {
            name: value for name, value in os.environ.items() if name.startswith("TWINLORA_")
        }
        own = {} if address else {"num_cpus": jobs, "include_dashboard": False}
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": variables},
            logging_level=logging.ERROR,
            log_to_driver=False,
            **own,
        )
        self._task = ray.remote(num_cpus=1, max_retries=0)(attempt)
        self._jobs: dict[Any, Job] = {}

    def submit(self, job: Job) -> None:
        job.stop.unlink(missing_ok=True)
        self._jobs[self._task.remote(job)] = job

    def poll(self) -> list[tuple[Job, Outcome]]:
        if not self._jobs:
            return []
        ready, _ = self._ray.wait(list(self._jobs), num_returns=len(self._jobs), timeout=0)
        ended = [(self._jobs.pop(reference), reference) for reference in ready]
        return [(job, self._fetch(reference, job)) for job, reference in ended]

    def running(self) -> list[Job]:
        return list(self._jobs.values())

    def stop(self, job: Job, status: str) -> None:
        if not job.stop.exists():
            write_atomic(job.stop, status, durable=False)

    def kill(self) -> None:
        for reference in self._jobs:
            self._ray.cancel(reference, force=True)

    def close(self) -> None:
        self._ray.shutdown()

    def _fetch(self, reference: Any, job: Job) -> Outcome:
        """A task that was lost with its machine counts as interrupted: the next call continues it."""
        try:
            outcome = self._ray.get(reference)
        except (self._ray.exceptions.RayError, OSError) as error:
            text = f"Its task was lost: {' '.join(str(error).split())[:200]}"
            outcome = Outcome(outcomes.INTERRUPTED, text).after(read_outcome(job.outcome))
            write_outcome(job.outcome, outcome)
        job.stop.unlink(missing_ok=True)
        return outcome


class RayExecutor(Executor):
    """One task with one CPU for each run. The study directory must be seen by all machines under one path."""

    name = "ray"

    def open(self, jobs: int, address: str | None) -> Pool:
        if importlib.util.find_spec("ray") is None:
            raise InputError(
                "--executor ray needs Ray, which is not installed. Install it: pip install 'twinlora[ray]'."
            )
        import ray

        return _RayPool(ray, jobs, address)


MEMBER = RayExecutor()
