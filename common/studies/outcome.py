"""What became of a run of a study: ``runs/<id>.outcome.json``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from common.files import write_json
from common.reading import read_json

__all__ = ["ENDED", "FINISHED", "INTERRUPTED", "PRUNED", "RETRIED", "Outcome", "read_outcome", "write_outcome"]

FINISHED, FAILED, TIMEOUT, MEMORY = "finished", "failed", "timeout", "memory"
INTERRUPTED = "interrupted"  #: continued by the next `study run`
PRUNED = "pruned"  #: by a search
ENDED = (FINISHED, FAILED, TIMEOUT, MEMORY, PRUNED)  #: not run again
RETRIED = (FAILED, TIMEOUT, MEMORY)  #: but by ``--retry``
_SHAPE = {
    "status": str,
    "error": str | None,
    "seconds": float,
    "peak_memory": int | None,
    "attempts": int,
    "exit_code": int | None,
}


@dataclass(frozen=True)
class Outcome:
    """The state of a run after its last attempt."""

    status: str
    error: str | None = None
    seconds: float = 0.0  #: wall time of all attempts
    peak_memory: int | None = None  #: bytes: resident memory of the run's processes, sampled
    attempts: int = 1
    exit_code: int | None = None

    def after(self, before: Outcome | None) -> Outcome:
        """With what earlier attempts took."""
        if before is None:
            return self
        peaks = [peak for peak in (self.peak_memory, before.peak_memory) if peak is not None]
        return dataclasses.replace(
            self,
            seconds=self.seconds + before.seconds,
            attempts=self.attempts + before.attempts,
            peak_memory=max(peaks, default=None),
        )


def read_outcome(path: Path) -> Outcome | None:
    """What ``write_outcome`` stored; None where there is none yet.

    Raises:
        InputError: it is no outcome.
    """
    if not path.is_file():
        return None
    found = read_json(path, "the outcome of a run", "Remove it; `twinlora study run` makes it again.", _SHAPE)
    return Outcome(**{field.name: found[field.name] for field in dataclasses.fields(Outcome)})


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Store it, whole or not at all."""
    write_json(path, dataclasses.asdict(outcome))
