"""How long a study will take, before it is run."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from common.errors import RunError
from common.files import write_atomic
from common.studies.attempt import Attempt
from common.studies.job import Job
from common.studies.outcome import ENDED, FINISHED
from common.studies.plan import Planned
from common.studies.points import Point
from common.studies.progress import duration
from common.studies.run import Study
from common.studies.status import step_seconds
from common.terminal import printable_line

__all__ = ["describe"]

_STEPS = 8  #: of a run that is measured


def describe(study: Study, measure: bool) -> str:
    """The runs of a study, one a line, and when they would have ended.

    Args:
        measure: where no run of a backend has been logged, train its first point for a few steps, elsewhere.
    """
    lines: list[str] = []
    left: dict[str, int] = {}  # steps by backend
    if study.searching:
        section = study.plan.definition.search
        for point in study.chosen:
            assert section is not None
            lines.append(f"{'search':<16}  {section.trials} trials  {point.describe()}")
            steps = section.trials * study.plan.reader.steps(point.config)
            left[point.backend] = left.get(point.backend, 0) + steps
    for one in study.todo():
        state = study.directory.state(one.entry())
        lines.append(f"{one.id}  {state:<11}  {one.steps:>7} steps  {one.point.describe()}")
        if state not in ENDED:
            left[one.point.backend] = left.get(one.point.backend, 0) + one.steps
    lines.append(f"{len(lines)} {'searches' if study.searching else 'runs'} in {study.directory.path}")
    for backend, steps in left.items():
        lines.append(_time(study, backend, steps, measure))
    if not left:
        lines.append("Nothing is left to run.")
    return "\n".join(printable_line(line) for line in lines)


def _time(study: Study, backend: str, steps: int, measure: bool) -> str:
    seconds, done, how = _logged(study, backend)
    if not done and measure:
        point = next(point for point in study.chosen if point.backend == backend)
        seconds, done = _measured(study, point)
        how = f"measured in {done} steps of {point.describe()}, evaluations left out"
    if not done:
        return f"{backend}: {steps:,} steps at most; no run of it was logged yet: --measure estimates the time"
    whole = steps * seconds / done / study.options.jobs
    return (
        f"{backend}: {steps:,} steps at most, about {duration(whole)} with --jobs {study.options.jobs} "
        f"({seconds / done:.3g} s a step, {how})"
    )


def _logged(study: Study, backend: str) -> tuple[float, int, str]:
    """Seconds and steps in the logs of this study's runs; those that have ended count whole, with their start."""
    seconds, done = 0.0, 0
    for one in _there(study, backend):
        outcome = study.directory.outcome(one)
        taken, steps = step_seconds(study.directory.run(one))
        if steps:
            ended = outcome is not None and outcome.status == FINISHED
            seconds, done = seconds + (outcome.seconds if ended and outcome else taken), done + steps
    return seconds, done, "from the runs of this study"


def _there(study: Study, backend: str) -> Iterable[dict]:
    """Points of the plan that is there, and of this one."""
    planned: list[Planned] = study.grid
    found = {one.id: one.entry() for one in planned}
    if study.directory.plan.is_file():
        found |= {point["id"]: point for point in study.directory.points()}
    return [point for point in found.values() if point["backend"] == backend]


def _measured(study: Study, point: Point) -> tuple[float, int]:
    """Train ``point`` for a few steps in a temporary folder: seconds and steps, the first step left out.

    Raises:
        RunError: it failed.
    """
    from common.config import to_yaml
    from common.training.runlog import read_log

    training = dataclasses.replace(
        point.config.training,
        max_steps=_STEPS,
        evaluate_every_steps=_STEPS,
        evaluate_every_epochs=None,
        log_every_steps=1,
    )
    data = dataclasses.replace(point.config.data, max_examples={**point.config.data.max_examples, "validation": 8})
    config = dataclasses.replace(point.config, name="measured", training=training, data=data)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(folder, "measured", point.backend, study.options.device, test=False)
        write_atomic(Path(job.config), to_yaml(config))
        attempt = Attempt(job)
        while (outcome := attempt.poll()) is None:
            time.sleep(0.1)
        if outcome.status != FINISHED:
            raise RunError(f"The point to estimate by failed: {outcome.error}")
        steps = read_log(job.run.metrics, "step")[1:]
    return sum(event["duration"] for event in steps), len(steps)
