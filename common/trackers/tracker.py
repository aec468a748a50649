"""The contract of a tracker: where the events of a run go besides its own log."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from common.errors import InputError

__all__ = ["Opening", "Session", "Tracker"]


@dataclass(frozen=True)
class Opening:
    """What a tracker gets to know of a run when it begins."""

    name: str
    backend: str
    folder: Path  #: in the run directory, for what the tracker keeps there; made by whoever needs it
    settings: Mapping[str, Any]  #: the resolved configuration, with dotted names


class Session(Protocol):
    """One run in one tracker."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers at a step; names have the form ``train/loss``."""

    def finish(self, summary: Mapping[str, float], failed: bool) -> None:
        """Record numbers of the whole run, and close."""


class Tracker:
    """One tracker; ``name`` is the file's, and that of the extra of this package that installs it."""

    name: ClassVar[str]
    module: ClassVar[str]  #: that must be there

    def check(self) -> None:
        """Raise InputError unless the library is installed."""
        if importlib.util.find_spec(self.module) is None:
            raise InputError(
                f"The tracker {self.name} needs the package {self.module}, which is not installed. Install it with "
                f"pip install 'twinlora[{self.name}]', or do without it: leave it out of training.trackers or --to."
            )

    def open(self, opening: Opening) -> Session:
        """Begin a run; a resumed one begins anew and gets all of its events. Servers and modes are those of the library's own environment variables."""
        raise NotImplementedError
