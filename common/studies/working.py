"""Running single points of a study that was planned before, without its definition."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import InputError
from common.studies.definition import read_definition
from common.studies.executors import EXECUTORS
from common.studies.job import Job
from common.studies.layout import StudyDirectory
from common.studies.outcome import FINISHED
from common.studies.progress import StudyProgress
from common.studies.scheduler import run_all
from common.studies.sources import Grid

__all__ = ["planned_points", "work"]


def planned_points(directory: StudyDirectory) -> list[dict]:
    """The points of a plan without a search, each run once.

    Raises:
        InputError: it is no study directory, or its study is a search.
    """
    plan = directory.read_plan()
    if plan["search"] is not None:
        raise InputError(
            f"The points of {directory.path} are decided one after the other, by a search. Run it as one job: "
            "twinlora study run, with --executor ray on several machines."
        )
    return list({point["id"]: point for point in plan["points"]}.values())


def work(directory: StudyDirectory, identities: Sequence[str], device: str | None) -> bool:
    """Run the points ``identities``; return whether all of them have finished.

    Raises:
        InputError: the study has no such point, is a search, or was cancelled.
    """
    points = {point["id"]: point for point in planned_points(directory)}
    if directory.stop.exists():
        raise InputError(
            f"The study {directory.path} was asked to end: twinlora study cancel. Plan it again, which takes that back, or "
            f"remove {directory.stop}."
        )
    for name in identities:
        if name not in points:
            raise InputError(f"{directory.path} has no point {name}. `twinlora study status` lists them.")
    limits = read_definition(directory.definition).limits
    progress = StudyProgress(1)
    jobs = []
    for name in identities:
        if directory.state(points[name]) != FINISHED:
            backend = points[name]["backend"]
            progress.expect(name, backend, points[name]["steps"])
            jobs.append(Job(str(directory.path), name, backend, device, seconds=limits.seconds, memory=limits.bytes))
    pool = EXECUTORS.get("local").open(1, None)
    run_all([Grid(jobs)], pool, 1, directory.stop, progress, lambda job: (job.id, job.id))
    return all(directory.state(points[name]) == FINISHED for name in identities)
