"""Strict loading: arrays must be exactly what is expected, or everything that is wrong is listed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError

__all__ = ["array_problems", "check_arrays"]


def array_problems(expected: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """One line for every missing, unexpected, wrongly shaped and not finite array."""
    problems = [f"{name}: missing" for name in expected if name not in arrays]
    problems += [f"{name}: unexpected" for name in arrays if name not in expected]
    for name, shape in expected.items():
        if name in arrays and tuple(arrays[name].shape) != tuple(shape):
            problems.append(f"{name}: shape {tuple(arrays[name].shape)}, expected {tuple(shape)}")
        elif name in arrays and not np.isfinite(arrays[name]).all():
            problems.append(f"{name}: holds NaN or infinity")
    return problems


def check_arrays(expected: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray]) -> None:
    """Raises InputError with everything `array_problems` finds, at most 20 lines of it."""
    problems = array_problems(expected, arrays)
    if problems:
        more = "" if len(problems) <= 20 else f"\n  and {len(problems) - 20} more"
        listed = "\n  ".join(problems[:20])
        raise InputError(
            f"Arrays must be exactly those expected; {len(problems)} are not:\n  {listed}{more}\nThey belong to another model or adaptation."
        )
