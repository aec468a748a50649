"""Strict loading: arrays must be exactly what is expected, or everything that is wrong is listed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError

__all__ = ["check_arrays"]


def check_arrays(expected: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]) -> None:
    """Compare names, shapes and finiteness.

    Raises:
        InputError: with every missing, unexpected, wrongly shaped and not finite array.
    """
    problems = [f"{name}: missing" for name in expected if name not in arrays]
    problems += [f"{name}: unexpected" for name in arrays if name not in expected]
    for name, shape in expected.items():
        if name in arrays and tuple(arrays[name].shape) != tuple(shape):
            problems.append(f"{name}: shape {tuple(arrays[name].shape)}, expected {tuple(shape)}")
        elif name in arrays and not np.isfinite(arrays[name]).all():
            problems.append(f"{name}: holds NaN or infinity")
    if problems:
        more = "" if len(problems) <= 20 else f"\n  and {len(problems) - 20} more"
        listed = "\n  ".join(problems[:20]) + more
        raise InputError(f"Arrays must be exactly those expected; {len(problems)} are not:\n  {listed}\nThey belong to another model or adaptation.")
