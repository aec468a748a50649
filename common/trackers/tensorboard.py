"""TensorBoard: event files in ``RUN/trackers/tensorboard``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from common.trackers.tracker import Opening, Tracker

__all__ = ["MEMBER"]


class _Session:
    def __init__(self, opening: Opening):
        from tensorboard.summary import Writer

        folder = opening.folder / MEMBER.name
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was broken off
        self._writer = Writer(str(folder))
        self._last = 0

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
        """An event file in the run's folder."""
        return _Session(opening)


MEMBER = _TensorBoard()
