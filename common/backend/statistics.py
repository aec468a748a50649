"""Statistics over gradients that both backends' engines give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from common.errors import InputError

__all__ = ["mean_squares"]


def mean_squares(gradients: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Mean of the squares of arrays of the same names, summed in float64.

    Raises:
        InputError: there are none.
    """
    sums: dict[str, np.ndarray] = {}
    count = 0
    for found in gradients:
        count += 1
        for name, gradient in found.items():
            squared = np.square(gradient, dtype=np.float64)
            sums[name] = np.add(sums[name], squared, out=sums[name]) if name in sums else squared
    if not count:
        raise InputError("Statistics of gradients need at least one example; received none.")
    return {name: total / count for name, total in sums.items()}
