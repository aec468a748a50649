"""One run of a study as an executor gets it: plain values, so that it travels to other machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.launch.processes import python_command
from common.training.rundir import RunDirectory

__all__ = ["SCORE", "TRAIN", "Job"]

TRAIN, SCORE = "train", "score"


@dataclass(frozen=True)
class Job:
    """What a process must do, and what it may take.

    Args:
        study: the study directory, absolute; every machine that takes part sees it under this path.
        kind: ``train``, or ``score`` a trained run on the test split.
        test: of ``train``: score the best state on the test split.
    """

    study: str
    id: str
    backend: str
    device: str | None = None
    kind: str = TRAIN
    test: bool = True
    seconds: float | None = None
    memory: int | None = None

    @property
    def key(self) -> str:
        """Names the job among those of a study."""
        return self.id if self.kind == TRAIN else f"{self.id}.{self.kind}"

    @property
    def config(self) -> Path:
        return Path(self.study, "configs", f"{self.id}.yaml")

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(Path(self.study, "runs", self.id, self.backend))

    @property
    def outcome(self) -> Path:
        return Path(self.study, "runs", f"{self.key}.outcome.json")

    @property
    def log(self) -> Path:
        return Path(self.study, "runs", f"{self.key}.log")

    @property
    def scores(self) -> Path:
        """What ``score`` writes: the metrics of the test split."""
        return Path(self.study, "runs", f"{self.id}.test.json")

    @property
    def stop(self) -> Path:
        """Ask a job on another machine to end: the status that it shall end with."""
        return Path(self.study, "runs", f"{self.key}.stop")

    def command(self) -> list[str]:
        """The command line of its process."""
        arguments = [self.study, self.id, self.backend, self.kind]
        arguments += ["--device", self.device] if self.device else []
        arguments += [] if self.test else ["--no-test"]
        return python_command("common.studies.worker", *arguments)
