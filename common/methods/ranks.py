"""How AdaLoRA distributes ranks (Zhang et al. 2023, sections 3.1 to 3.3), in float64.

Of an update P diag(e) Q every direction i has an importance, the importance of e_i plus the mean importances of the
elements of column i of P and row i of Q. That of an element w is I U, where s = |w g| is its sensitivity, g the gradient,
I the moving average of s and U that of |s - I|. Of all layers' directions the most important ones are kept, as many as
the schedule says; e of the others is set to zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.strict import check_arrays

__all__ = ["RankAllocation", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """How many directions are kept after which step."""

    initial: int
    target: int
    total_steps: int
    initial_steps: int
    final_steps: int
    interval: int

    @property
    def last(self) -> int:
        """The step after which the choice is final."""
        return self.total_steps - self.final_steps

    def budget(self, step: int) -> int | None:
        """How many directions are kept after ``step``; None where nothing is chosen then. It falls with the cube of the
        steps that are left (eq. 12)."""
        if step <= self.initial_steps or step > self.last or (step % self.interval and step != self.last):
            return None
        left = 1.0 - (step - self.initial_steps) / (self.last - self.initial_steps)
        return int((self.initial - self.target) * left**3 + self.target)


class RankAllocation:
    """A `common.methods.steering.Steering`.

    Args:
        triples: names of Q, e and P of every layer.
        shapes: of these parameters.
        orthogonality: weight of the penalty, the mean of |Q Q^T - 1| and |P^T P - 1| over all layers (Frobenius), as in
            PEFT.
    """

    def __init__(
        self,
        triples: tuple[tuple[str, ...], ...],
        shapes: Mapping[str, tuple[int, ...]],
        schedule: Schedule,
        beta1: float,
        beta2: float,
        orthogonality: float,
    ):
        self.names = tuple(name for triple in triples for name in triple)
        self._triples, self._schedule = triples, schedule
        self._beta1, self._beta2, self._orthogonality = beta1, beta2, orthogonality
        self._sensitivity = {name: np.zeros(shapes[name]) for name in self.names}
        self._uncertainty = {name: np.zeros(shapes[name]) for name in self.names}
        self._kept = np.ones(schedule.initial)  # of all layers' directions in order: 0 where e is zero for good

    def gradients(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of the penalty, float64."""
        if not self._orthogonality:
            return {}
        weight = self._orthogonality / (2 * len(self._triples))
        found = {}
        for q, _, p in self._triples:
            found[q] = weight * _penalty_gradient(arrays[q].astype(np.float64))
            found[p] = weight * _penalty_gradient(arrays[p].astype(np.float64).T).T
        return found

    def after(
        self, step: int, arrays: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """e of every layer, where directions are dropped."""
        if step < self._schedule.last:  # the last choice is made by what was seen before, as in PEFT
            self._observe(arrays, gradients)
        budget = self._schedule.budget(step)
        if budget is None:
            return self._masked(arrays, self._kept) if step > self._schedule.last else {}
        kept = np.zeros(self._schedule.initial)
        # stable: of equally important directions those of the first layers are dropped, and never more than needed
        kept[np.argsort(self._importance(), kind="stable")[self._schedule.initial - budget :]] = 1.0
        if step == self._schedule.last:
            self._kept = kept
        return self._masked(arrays, kept)

    def state(self) -> dict[str, np.ndarray]:
        """Both averages by name, and which directions are kept, float64."""
        averages = {f"sensitivity.{name}": array for name, array in self._sensitivity.items()}
        averages |= {f"uncertainty.{name}": array for name, array in self._uncertainty.items()}
        return averages | {"kept": self._kept}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Strict inverse of ``state``."""
        check_arrays(self.state(), arrays)
        for name in self.names:
            self._sensitivity[name] = arrays[f"sensitivity.{name}"].astype(np.float64)
            self._uncertainty[name] = arrays[f"uncertainty.{name}"].astype(np.float64)
        self._kept = arrays["kept"].astype(np.float64)

    def _observe(self, arrays: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]) -> None:
        for name in self.names:
            now = np.abs(arrays[name].astype(np.float64) * gradients[name])
            average = self._beta1 * self._sensitivity[name] + (1 - self._beta1) * now
            spread = self._beta2 * self._uncertainty[name] + (1 - self._beta2) * np.abs(now - average)
            self._sensitivity[name], self._uncertainty[name] = average, spread

    def _importance(self) -> np.ndarray:
        """Of all layers' directions in order."""
        score = {name: self._sensitivity[name] * self._uncertainty[name] for name in self.names}
        each = [score[e][:, 0] + score[q].mean(1) + score[p].mean(0) for q, e, p in self._triples]
        return np.concatenate(each)

    def _masked(self, arrays: Mapping[str, np.ndarray], kept: np.ndarray) -> dict[str, np.ndarray]:
        found, first = {}, 0
        for _, e, _ in self._triples:
            rank = len(arrays[e])
            found[e] = arrays[e] * kept[first : first + rank, None].astype(arrays[e].dtype)
            first += rank
        return found


def _penalty_gradient(rows: np.ndarray) -> np.ndarray:
    """Of |R R^T - 1| by R."""
    excess = rows @ rows.T - np.eye(len(rows))
    norm = np.linalg.norm(excess)
    return 2.0 * excess @ rows / norm if norm else np.zeros_like(rows)
