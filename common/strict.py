"""Strict loading: arrays must be exactly what is expected, or everything that is wrong is listed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.errors import InputError

__all__ = ["Expected", "array_problems", "check_arrays", "check_finite", "expected"]

#: A shape stands for floating-point numbers of that shape; an array for its own shape and kind, so that an integer counter is expected as one.
Expected = tuple[int, ...] | np.ndarray
_KINDS = {"f": "floating-point numbers", "i": "integers", "u": "integers", "b": "booleans", "c": "complex numbers"}


def expected(shape: tuple[int, ...], dtype: np.dtype | None = None) -> Expected:
    """What is expected of an array of ``shape``: floating-point numbers without a ``dtype``; takes no memory."""
    return shape if dtype is None else np.broadcast_to(np.zeros((), dtype), shape)


def array_problems(expected: Mapping[str, Expected], arrays: Mapping[str, np.ndarray]) -> list[str]:
    """One line for every array that is missing, unexpected, of another shape or kind, or not finite."""
    problems = [f"{name}: missing" for name in expected if name not in arrays]
    problems += [f"{name}: unexpected" for name in arrays if name not in expected]
    return problems + [
        f"{name}: {problem}"
        for name, wanted in expected.items()
        if name in arrays and (problem := _problem(wanted, np.asarray(arrays[name])))
    ]


def check_arrays(expected: Mapping[str, Expected], arrays: Mapping[str, np.ndarray]) -> None:
    """Raises InputError with everything `array_problems` finds, at most 20 lines of it."""
    problems = array_problems(expected, arrays)
    if problems:
        more = "" if len(problems) <= 20 else f"\n  and {len(problems) - 20} more"
        listed = "\n  ".join(problems[:20])
        raise InputError(
            f"Arrays must be exactly those expected; {len(problems)} are not:\n  {listed}{more}\nThey belong to another model or adaptation."
        )


def check_finite(arrays: Mapping[str, np.ndarray], wanted: str) -> None:
    """Raises InputError where an array holds NaN or infinity, with which LAPACK's decompositions may never end.

    Args:
        wanted: what is to be made of them, such as ``a decomposition``.
    """
    faulty = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if faulty:
        more = f" and {len(faulty) - 5} more" if len(faulty) > 5 else ""
        raise InputError(
            f"{wanted} needs finite numbers; {', '.join(faulty[:5])}{more} hold NaN or infinity. The model has diverged or "
            "is damaged: use another state of it."
        )


def _problem(wanted: Expected, array: np.ndarray) -> str | None:
    shape, kind = (tuple(wanted.shape), wanted.dtype.kind) if isinstance(wanted, np.ndarray) else (tuple(wanted), "f")
    if tuple(array.shape) != shape:
        return f"shape {tuple(array.shape)}, expected {shape}"
    if _KINDS.get(array.dtype.kind) != _KINDS.get(kind):
        return f"holds {_KINDS.get(array.dtype.kind, 'other data')} ({array.dtype}), expected {_KINDS.get(kind, kind)}"
    return None if np.isfinite(array).all() else "holds NaN or infinity"
