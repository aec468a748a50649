"""Values of tensors as torch writes them: four digits, and powers of ten where they differ much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["written"]

_LINE, _DIGITS, _SHOWN, _EDGE = 80, 4, 1000, 3


def written(array: np.ndarray, prefix: str) -> str:
    """The values behind ``prefix``, in lines of 80 characters; of more than a thousand the ends of each axis."""
    if array.dtype.kind == "c":
        return np.array2string(array, precision=_DIGITS, separator=", ", prefix=prefix, floatmode="maxprec_equal")
    if not array.size:
        return "[]"
    write = _writer(_ends(array))
    if not array.ndim:
        return write(array[()]).strip()
    found = np.array2string(
        array,
        separator=", ",
        prefix=prefix,
        formatter={"all": write},
        max_line_width=_LINE,
        threshold=_SHOWN,
        edgeitems=_EDGE,
    )
    return found.replace(", ..., ", ",  ..., ")


def _ends(array: np.ndarray) -> np.ndarray:
    """The values that are shown."""
    if array.size <= _SHOWN:
        return array
    for axis, size in enumerate(array.shape):
        if size > 2 * _EDGE:
            array = np.take(array, [*range(_EDGE), *range(size - _EDGE, size)], axis)
    return array


def _writer(shown: np.ndarray) -> Callable[[Any], str]:
    """What writes one value, all in one width."""
    if shown.dtype.kind != "f":
        width = max(len(str(value)) for value in shown.reshape(-1))
        return lambda value: str(value).rjust(width)
    values = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
    sizes = np.abs(values)
    whole = bool((values == np.ceil(values)).all())
    powers = bool(values.size) and bool(
        sizes.max() / sizes.min() > 1000 or sizes.max() > 1e8 or (not whole and sizes.min() < 1e-4)
    )

    def text(value: float) -> str:
        if powers:
            return f"{value:.{_DIGITS}e}"
        if not whole:
            return f"{value:.{_DIGITS}f}"
        return f"{value:.0f}" + ("." if np.isfinite(value) else "")

    width = max((len(text(value)) for value in values), default=1)
    return lambda value: text(value).rjust(width)
