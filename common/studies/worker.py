"""The process of one run of a study."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from common.config import ExperimentConfig, from_yaml
from common.errors import InterruptedRunError, TwinloraError, of_system
from common.files import write_json
from common.reading import read_text
from common.studies.job import SCORE, TRAIN, Job
from common.studies.layout import StudyDirectory
from common.terminal import printable
from common.training.lock import FILE

__all__ = ["STOPPED", "main"]

STOPPED = 75  #: exit code of a run that was asked to end and saved its state (EX_TEMPFAIL)
_PATIENCE = 120.0  #: seconds that a run waits for a process of a killed study that is still saving its state


def main(arguments: Sequence[str]) -> int:
    """Do the job and return the exit code: 0, `STOPPED`, or that of an error, which is the last line said."""
    job = _job(arguments)
    try:
        _wait_for_orphan(job.run.path)
        if job.kind == SCORE:
            _score(job)
        else:
            _train(job)
    except InterruptedRunError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return STOPPED
    except (TwinloraError, OSError, MemoryError) as error:
        shown = error if isinstance(error, TwinloraError) else of_system(error)
        print(f"error: {printable(str(shown))}", file=sys.stderr)
        return shown.exit_code
    return 0


def _job(arguments: Sequence[str]) -> Job:
    parser = argparse.ArgumentParser(prog="common.studies.worker", allow_abbrev=False)
    for name in ("study", "id", "backend"):
        parser.add_argument(name)
    parser.add_argument("kind", choices=(TRAIN, SCORE))
    parser.add_argument("--device")
    parser.add_argument("--no-test", dest="test", action="store_false")
    return Job(**vars(parser.parse_args(arguments)))


def _config(job: Job) -> ExperimentConfig:
    text = read_text(job.config, "the configuration of a point", "Plan the study again: twinlora study run.")
    return from_yaml(text, str(job.config))


def _train(job: Job) -> None:
    """Begin or continue the run; a finished one is left as it is. Inputs that changed since it was planned are refused:
    its identity would be that of others."""
    from common.training.run import train

    plan = StudyDirectory(Path(job.study))
    expected = plan.read_plan()["fingerprints"]["inputs"].get(job.id) if plan.plan.is_file() else None
    output = Path(job.study, "runs")
    train(_config(job), job.backend, job.device, output, resume=True, test=job.test, expected=expected)


def _score(job: Job) -> None:
    """Score the best state of the run on the test split."""
    from common.training.assembly import load_engine, open_trained
    from common.training.evaluation import score

    trained = open_trained(job.run)
    write_json(job.scores, score(trained, load_engine(trained, job.backend, job.device), "test"))


def _wait_for_orphan(folder: Path) -> None:
    """A study that was killed ends its runs, which save their state first: wait until the lock of this one is free.
    Where it stays taken, the run itself says who holds it."""
    from filelock import FileLock, Timeout

    if not folder.is_dir():
        return
    begun = time.monotonic()
    try:
        with FileLock(folder / FILE, timeout=_PATIENCE):
            pass
    except Timeout:
        return
    waited = time.monotonic() - begun
    if waited > 1:
        print(f"Waited {waited:.0f} s for the process of an earlier study to save its state and end.", file=sys.stderr)
