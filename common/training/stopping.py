"""Early stopping, and which state of the model was the best."""

from __future__ import annotations

from typing import Any

from common.metrics import better

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """Watches one metric: remembers the best value and its step, and is exhausted after ``patience`` evaluations
    without a strictly better one.

    A tie is no improvement, so that of equal models the earliest is kept. ``patience`` None never stops.
    """

    def __init__(self, higher_is_better: bool, patience: int | None):
        self.higher_is_better, self.patience = higher_is_better, patience
        self.best: float | None = None
        self.best_step: int | None = None
        self.without_improvement = 0

    def update(self, step: int, value: float) -> bool:
        """Take in one evaluation; return whether it is the best so far."""
        if self.best is None or better(value, self.best, self.higher_is_better):
            self.best, self.best_step, self.without_improvement = value, step, 0
            return True
        self.without_improvement += 1
        return False

    def forget(self) -> None:
        """Begin again to look for the best: the state that was is gone."""
        self.best = self.best_step = None

    @property
    def exhausted(self) -> bool:
        """Whether training should stop."""
        return self.patience is not None and self.without_improvement >= self.patience

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to continue."""
        return {"best": self.best, "best_step": self.best_step, "without_improvement": self.without_improvement}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of ``state``."""
        self.best, self.best_step, self.without_improvement = (
            state["best"],
            state["best_step"],
            state["without_improvement"],
        )
