"""Settings of meta pseudo labels (Pham et al. 2021); see `common.training.meta`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Meta"]


@dataclass(frozen=True)
class Meta:
    """The section ``meta``. What the run trains and stores is the student; its teacher begins as the same model, learns
    from the labels, and from how well the student does after learning from the teacher."""

    unlabelled: str | None = None  #: a file of texts without labels; null: no meta pseudo labels
    form: Literal["exact", "first-order"] = "exact"  #: the gradient through the student's step, or its first-order form
    learning_rate: float = 0.1  #: of the student's step, one along its gradient
    weight: float = 1.0  #: factor of the teacher's meta term beside its loss on the labels

    def problems(self) -> Iterator[tuple[str, str]]:
        """Settings without texts."""
        if self.unlabelled is None and self != Meta():
            yield "unlabelled", "must name a file of texts where other entries of meta are given"
