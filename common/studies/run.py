"""``run_study``: plan, then run what has not been run, and keep the plan and the record of searches up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.files import write_json
from common.studies.conflicts import TRIAL
from common.studies.definition import Definition
from common.studies.executors import EXECUTORS
from common.studies.job import SCORE, TRAIN, Job
from common.studies.outcome import ENDED, RETRIED
from common.studies.plan import Plan, Planned, plan, require_backends
from common.studies.points import Point, matching
from common.studies.progress import StudyProgress
from common.studies.scheduler import run_all
from common.studies.search.searching import Search
from common.studies.sources import Grid, Source
from common.training.lock import locked

__all__ = ["Options", "Study", "run_study"]


@dataclass(frozen=True)
class Options:
    """How a study is run; nothing of it changes what comes out.

    Args:
        filters: axis to accepted values as text; the other points are planned and not run.
        retry: run again what failed or passed a limit.
        same_code: see `common.studies.plan.plan`.
        drop: leave runs out of the plan that the definition no longer has.
    """

    jobs: int = 1
    device: str | None = None
    executor: str = "local"
    address: str | None = None
    filters: Mapping[str, list[str]] | None = None
    retry: bool = False
    same_code: bool = False
    drop: bool = False


class Study:
    """A definition with its directory: what is planned, what has ended, what is left."""

    def __init__(self, definition: Definition, output: Path, options: Options):
        """Plan, and write nothing.

        Raises:
            InputError: anything in the study is wrong.
        """
        self.options = options
        self.plan: Plan = plan(definition, output, options.same_code)
        self.directory = self.plan.directory
        self.searching = definition.search is not None
        self.chosen: list[Point] = matching(self.plan.points, options.filters or {})
        require_backends(point.backend for point in self.chosen)
        if not options.drop:
            self.plan.refuse_lost()
        self.grid: list[Planned] = [] if self.searching else [self.plan.planned(point) for point in self.plan.points]
        if self.searching:
            for point in self.plan.points:
                self.plan.planned(point)  # refuses what cannot be trained before anything is written
        self.searches: list[Search] = [
            Search(self.plan, point, self.job, self.write, options.retry)
            for point in self.plan.points
            if self.searching
        ]
        self._progress: StudyProgress | None = None

    def follow(self, progress: StudyProgress) -> StudyProgress:
        """Tell ``progress`` of every run, and of those that have ended."""
        self._progress = progress
        trials = self.plan.definition.search.trials if self.plan.definition.search else 0
        for search in self._running():
            steps = self.plan.reader.steps(search.point.config)
            for number in range(trials):
                progress.expect(_key(search, number), search.point.backend, steps)
            progress.expect(_key(search, SCORE), search.point.backend, 0)
        for one in self.todo():
            progress.expect(one.id, one.point.backend, one.steps)
            outcome = self.directory.outcome(one.entry())
            if outcome is not None and not self._left(one):
                progress.known(one.id, outcome)
        return progress

    def shown(self, job: Job) -> tuple[str, str]:
        """The key of a job in the progress, and the job for people."""
        for search in self.searches:
            for trial, one in zip(search.trials, search.planned, strict=True):
                if one.id == job.id and (trial.state is None or job.kind == SCORE):
                    text = f"{job.id} {one.point.describe()}"
                    winner = ", the winner, on the test split" if job.kind == SCORE else ""
                    return _key(search, SCORE if winner else trial.number), text + winner
        text = next((one.point.describe() for one in self.grid if one.id == job.id), "")
        return job.id, f"{job.id} {text}"

    def job(self, planned: Planned, kind: str = TRAIN) -> Job:
        """The job of a point."""
        limits = self.plan.definition.limits
        return Job(
            str(self.directory.path),
            planned.id,
            planned.point.backend,
            self.options.device,
            kind,
            test=not self.searching,
            seconds=limits.seconds,
            memory=limits.bytes,
        )

    def todo(self) -> list[Planned]:
        """Points of the grid that are chosen by the filters."""
        return [one for one in self.grid if one.point in self.chosen]

    def replay(self) -> None:
        """Take in what has been run of all searches, those included that the filters leave out.

        Raises:
            InputError: trials that were run are decided otherwise now; the tables would lose them.
        """
        for search in self.searches:
            search.replay()
        if self.searching and self.directory.plan.is_file() and not self.options.drop:
            before = [point for point in self.directory.points() if TRIAL in point["label"]]
            lost = [point for point in before if not any(search.holds(point) for search in self.searches)]
            self.plan.refuse(point for point in lost if self.directory.state(point) != "missing")

    def write(self) -> None:
        """Write the plan, and what searches have come to."""
        every = self.grid + [planned for search in self.searches for planned in search.planned]
        self.plan.write(every)
        if self.searching:
            write_json(self.directory.search, {"searches": [search.plain() for search in self.searches]})
        for search in self._running() if self._progress else ():
            for trial, one in zip(search.trials, search.planned, strict=True):
                outcome = self.directory.outcome(one.entry()) if trial.state else None
                if outcome is not None and self._progress is not None:
                    self._progress.known(_key(search, trial.number), outcome)

    def sources(self) -> list[Source]:
        """Where jobs come from."""
        if self.searching:
            return list(self._running())
        jobs = [self.job(one) for one in self.todo() if self._left(one)]
        return [Grid(jobs)]

    def _running(self) -> list[Search]:
        """Those that the filters choose."""
        return [search for search in self.searches if search.point in self.chosen]

    def _left(self, planned: Planned) -> bool:
        state = self.directory.state(planned.entry())
        return state not in ENDED or (self.options.retry and state in RETRIED)


def _key(search: Search, number: int | str) -> str:
    return f"{search.name} {number}"


def run_study(definition: Definition, output: Path, options: Options) -> tuple[Study, bool]:
    """Run a study in ``output/<name>``, or continue it.

    Returns:
        The study, and whether it came to its end (failed runs included) before somebody ended it.

    Raises:
        InputError: anything in the study is wrong, or another process runs it; nothing was run.
    """
    if options.jobs < 1:
        raise InputError(f"--jobs must be greater than 0; received {options.jobs}.")
    executor = EXECUTORS.get(options.executor)
    study = Study(definition, output, options)
    pool = executor.open(options.jobs, options.address)
    try:
        with locked(study.directory.path):
            study.replay()
            study.directory.stop.unlink(missing_ok=True)
            progress = study.follow(StudyProgress(options.jobs))
            study.write()
            done = run_all(study.sources(), pool, options.jobs, study.directory.stop, progress, study.shown)
            study.write()
    finally:
        pool.close()
    return study, done
