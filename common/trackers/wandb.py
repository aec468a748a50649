"""Weights & Biases. ``WANDB_PROJECT``, ``WANDB_MODE=offline``, ... are its own; files are in ``RUN/trackers``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.trackers.tracker import Opening, Tracker

__all__ = ["MEMBER"]


class _Session:
    def __init__(self, opening: Opening):
        import wandb

        opening.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=_project(),
            name=f"{opening.name}-{opening.backend}",
            dir=str(opening.folder),
            config=dict(opening.settings),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def finish(self, summary: Mapping[str, float], failed: bool) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish(exit_code=int(failed))


class _WeightsAndBiases(Tracker):
    name = "wandb"
    module = "wandb"

    def open(self, opening: Opening) -> Any:
        """A run of the library; without an account, and without its offline mode, that fails."""
        return _Session(opening)


def _project() -> str:
    import os

    return os.environ.get("WANDB_PROJECT") or "twinlora"


MEMBER = _WeightsAndBiases()
