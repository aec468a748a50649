"""How much the loss depends on groups of weights: on heads of an attention, on units of a feed-forward part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import InputError

__all__ = ["Group", "importances"]


@dataclass(frozen=True)
class Group:
    """Parameters that are divided among ``count`` units, in equal parts along an axis of each."""

    path: str  #: by which it is found again
    count: int
    parameters: tuple[tuple[str, int], ...]  #: name and axis

    def terms(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sums of the entries of every unit, ``(count,)`` float64."""
        found = np.zeros(self.count)
        for name, axis in self.parameters:
            parts = np.moveaxis(arrays[name], axis, 0).reshape(self.count, -1)
            found += parts.sum(1, dtype=np.float64)
        return found


def importances(
    groups: Sequence[Group], arrays: Mapping[str, np.ndarray], gradients: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Mean over examples of |sum over a unit's weights of weight times gradient|, ``(count,)`` float64 by path.

    That sum is the derivative of the loss by a factor of the unit's weights, at 1. Of the columns that read a head it
    is the derivative by a mask of the head (Michel et al. 2019); of the weights and the bias that make a unit of a
    feed-forward part, what the loss would change by without them, to first order (Molchanov et al. 2017).

    Args:
        gradients: of the loss of one example each, by parameter.

    Raises:
        InputError: there is none.
    """
    found = {group.path: np.zeros(group.count) for group in groups}
    examples = 0
    for gradient in gradients:
        examples += 1
        for group in groups:
            products = {name: arrays[name].astype(np.float64) * gradient[name] for name, _ in group.parameters}
            found[group.path] += np.abs(group.terms(products))
    if not examples:
        raise InputError("Importance is a mean over examples; received none.")
    return {path: total / examples for path, total in found.items()}
