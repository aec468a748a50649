"""TensorBoard: event files in ``RUN/trackers/tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.trackers.tracker import Opening, Tracker

__all__ = ["MEMBER"]


class _Session:
    def __init__(self, opening: Opening):
        from tensorboard.summary import Writer

        self._writer = Writer(str(opening.folder / MEMBER.name))
        self._last = opening.step

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._last = max(self._last, step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, summary: Mapping[str, float], failed: bool) -> None:
        self.log(self._last, summary)
        self._writer.flush()
        self._writer.close()


class _TensorBoard(Tracker):
    name = "tensorboard"
    module = "tensorboard"

    def open(self, opening: Opening) -> Any:
        """A new event file in the run's folder; steps that are repeated after a break appear twice."""
        return _Session(opening)


MEMBER = _TensorBoard()
