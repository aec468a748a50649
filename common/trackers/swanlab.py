"""SwanLab. ``SWANLAB_MODE=offline``, ``SWANLAB_PROJ_NAME``, ... are its own; files are in ``RUN/trackers/swanlab``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from common.trackers.tracker import Opening, Tracker

__all__ = ["MEMBER"]


class _Session:
    def __init__(self, opening: Opening):
        import swanlab

        folder = opening.folder / MEMBER.name
        folder.mkdir(parents=True, exist_ok=True)
        self._library = swanlab
        swanlab.init(
            project=os.environ.get("SWANLAB_PROJ_NAME") or "twinlora",
            experiment_name=f"{opening.name}-{opening.backend}",
            config=dict(opening.settings),
            logdir=str(folder),
            mode=os.environ.get("SWANLAB_MODE") or "cloud",
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._library.log(dict(values), step=step)

    def finish(self, summary: Mapping[str, float], failed: bool) -> None:
        self._library.log(dict(summary))
        self._library.finish("crashed" if failed else "success")


class _SwanLab(Tracker):
    name = "swanlab"
    module = "swanlab"

    def open(self, opening: Opening) -> Any:
        """An experiment of the library."""
        return _Session(opening)


MEMBER = _SwanLab()
